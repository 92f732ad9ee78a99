"""Every link and every file named in the pages exists, and no page holds a path of one machine."""

from __future__ import annotations

import re

import pytest

from fedmrg_core.paths import ROOT
from tests.pages import PAGES, text

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED_FILE = re.compile(r"`((?:benchmark|fedmrg_core|docs|tests|splits|leaderboards)/[^`\s<>{}$]*)`")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for target in LINK.findall(text(page)):
        if target.startswith(("https://", "#")):
            continue
        path, _, heading = target.partition("#")
        assert (folder / path).exists(), f"{page}: {target}"
        if heading:
            titles = re.findall(r"(?m)^#+ (.*)$", (folder / path).read_text())
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_named_file_exists(page: str) -> None:
    for name in NAMED_FILE.findall(text(page)):
        plain = re.sub(r"[:#].*$", "", name)
        assert list(ROOT.glob(plain.rstrip("/"))) or (ROOT / plain).exists(), f"{page}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_holds_no_path_of_one_machine(page: str) -> None:
    assert not re.search(r"(?<![\w.])/(work|tmp|home|root|Users)/", text(page))


def test_every_docs_page_is_reached_from_the_readme() -> None:
    found, todo = set(), ["README.md"]
    while todo:
        page = todo.pop()
        found.add(page)
        links = [(ROOT / page).parent / target.partition("#")[0] for target in LINK.findall(text(page))]
        pages = {path.resolve().relative_to(ROOT).as_posix() for path in links if path.suffix == ".md"}
        todo += sorted((pages & set(PAGES)) - found - set(todo))
    assert {page for page in PAGES if page.startswith("docs/")} <= found
