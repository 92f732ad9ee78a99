"""A page of reports as one HTML file, of at most LIMIT bytes: what does not fit is left out, and the page says so."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment
from markupsafe import Markup

from benchmark.board.render import html_environment
from benchmark.reading.page import KINDS, Page, page_of
from benchmark.reading.runs import Run
from benchmark.reading.studies import Study, choose_studies
from fedmrg_core.errors import DataError

if TYPE_CHECKING:
    from fedmrg_core.data.cache.federation import Federation

LIMIT = 5_000_000
"""Bytes of a page."""
LONGEST = 5_000
"""Characters that a text is cut to."""
HOW_CHOSEN = (
    "{shown} of {total} test studies: the hospitals take turns; the first half are the studies with the most "
    "conditions in which {what} differ, the others are drawn by a hash of the study's id. So do not read a score off "
    "this page: it shows disputed studies more often than they occur."
)
CUT_SHORT = "{wanted} studies were asked for; {shown} fit into {limit} MB."


@dataclass(frozen=True)
class Rendered:
    """A page's bytes and how many studies it shows."""

    html: bytes
    studies: int


def render(runs: Sequence[Run], federation: Federation, studies: Sequence[Study], wanted: int) -> Rendered:
    """The page of at most `wanted` of these studies in at most LIMIT bytes. Raises DataError if not one fits."""
    most = count = min(wanted, len(studies))
    while count:
        choice = _choice(runs, len(studies), count, most)
        html = html_of(page_of(runs, federation, choose_studies(studies, count), choice)).encode()
        if len(html) <= LIMIT:
            return Rendered(html, count)
        count = min(count - 1, int(count * LIMIT / len(html)))
    raise DataError(f"not one study fits into a page of {LIMIT / 1e6:g} MB: give fewer runs")


def _choice(runs: Sequence[Run], total: int, shown: int, wanted: int) -> list[str]:
    what = "the runs" if len(runs) > 1 else "run and reference"
    said = [HOW_CHOSEN.format(shown=shown, total=total, what=what)]
    return said + ([CUT_SHORT.format(wanted=wanted, shown=shown, limit=f"{LIMIT / 1e6:g}")] if shown < wanted else [])


def html_of(page: Page) -> str:
    """The page as HTML. Every text is escaped; nothing is loaded from elsewhere, and no other script can run."""
    style, script = _source("reader.css"), _source("reader.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = _environment().get_template("reader.html.j2")
    return template.render(page=page, kinds=KINDS, style=style, script=script, script_sha256=digest)


def _source(name: str) -> Markup:
    """A file of the templates' folder as it is: its hash must be that of what the browser reads."""
    return Markup((resources.files("benchmark.reading") / "templates" / name).read_text("utf-8"))


@cache
def _environment() -> Environment:
    return html_environment("benchmark.reading", LONGEST)
