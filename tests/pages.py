"""Code blocks of the documentation, for tests that run them."""

from __future__ import annotations

import re

from fedmrg_core.paths import ROOT


def code_block(page: str, language: str, containing: str = "") -> str:
    """The one block of that language in `docs/<page>` (or a path from the project folder) that holds a text."""
    path = ROOT / "docs" / page if (ROOT / "docs" / page).exists() else ROOT / page
    found = re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in found if containing in block]
    return str(block)
