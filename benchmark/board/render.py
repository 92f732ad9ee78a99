"""Boards as Markdown and as static HTML (sortable, light and dark, nothing loaded from elsewhere): one view model,
`view.py`, and a template for each form. Every text is escaped, so that no name in a result can bring markup with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmark.board.boards import Board
from benchmark.board.view import board_page, index_page
from fedmrg_core.errors import one_line

_MARKDOWN = re.compile(r"[\\`*{}\[\]<>|#&~$]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.|@")
"""What GitHub's Markdown gives a meaning inside a line, addresses included; an underscore inside a word has none."""

PACKAGE = "benchmark.board"
LONGEST = 2_000
"""Characters that a text is cut to."""


def pages(boards: Sequence[Board]) -> dict[str, str]:
    """Path (from the project folder) -> text, of every board and both indexes."""
    index = index_page(boards)
    texts = {
        "leaderboards/README.md": _markdown().get_template("index.md.j2").render(index=index),
        "leaderboards/html/index.html": _html().get_template("index.html.j2").render(index=index),
    }
    for board in boards:
        page = board_page(board)
        texts[f"leaderboards/{board.slug}.md"] = _markdown().get_template("board.md.j2").render(page=page)
        texts[f"leaderboards/html/{board.slug}.html"] = _html().get_template("board.html.j2").render(page=page)
    return texts


def markdown_escape(value: Any) -> Any:
    r"""A value as plain text of one line of Markdown; text marked safe and undefined values are left alone.

    >>> markdown_escape("<b>*random_train* | x")
    '\\<b\\>\\*random_train\\* \\| x'
    """
    if isinstance(value, Markup | StrictUndefined):
        return value
    return _MARKDOWN.sub(lambda match: f"\\{match.group()}", one_line(str(value), length=LONGEST))


def html_environment(package: str, longest: int) -> Environment:
    """The HTML templates of a package. Every text is escaped, without control characters, and cut to `longest`."""

    def printable(value: Any) -> Any:
        return one_line(value, length=longest) if isinstance(value, str) and not isinstance(value, Markup) else value

    return _environment(package, autoescape=True, finalize=printable)


@cache
def _markdown() -> Environment:
    return _environment(PACKAGE, autoescape=False, finalize=markdown_escape)


@cache
def _html() -> Environment:
    return html_environment(PACKAGE, LONGEST)


def _environment(package: str, **options: Any) -> Environment:
    layout: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    return Environment(loader=PackageLoader(package), undefined=StrictUndefined, **layout, **options)
