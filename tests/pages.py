"""The pages of documentation, for tests that read them or run what they show."""

from __future__ import annotations

import re

from fedmrg_core.paths import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "leaderboards/*.md", "bases/*.md")
    for path in ROOT.glob(pattern)
)


def text(page: str) -> str:
    """A file by its path from the project folder."""
    return (ROOT / page).read_text(encoding="utf-8")


def code_blocks(content: str, *languages: str) -> list[str]:
    """The code blocks of those languages in a page's text."""
    return re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", content, re.DOTALL)


def code_block(page: str, language: str, containing: str = "") -> str:
    """The one block of that language in `docs/<page>` (or a path from the project folder) that holds a text."""
    path = f"docs/{page}" if (ROOT / "docs" / page).exists() else page
    (block,) = [block for block in code_blocks(text(path), language) if containing in block]
    return str(block)
