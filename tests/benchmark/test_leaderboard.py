"""`fedmrg leaderboard`: boards are a function of the committed results alone."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmark.board import results
from benchmark.commands import leaderboard
from fedmrg_core.paths import ROOT


@pytest.fixture
def project(tmp_path, make_result) -> Path:
    """A project folder with one committed result."""
    result = make_result()
    path = results.result_path(result, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(results.committed_text(result))
    return tmp_path


def build(root: Path, check: bool = False) -> int:
    return leaderboard.main(argparse.Namespace(root=root, check=check, runs=[]))


def test_every_page_and_the_picture_are_written(project):
    assert build(project) == 0
    written = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert written >= {
        "leaderboards/README.md",
        "leaderboards/phantom-ci--tiny.md",
        "leaderboards/html/index.html",
        "leaderboards/html/phantom-ci--tiny.html",
        "docs/img/board.png",
    }


def test_a_check_names_a_stale_page_and_writes_nothing(project, capsys):
    build(project)
    assert build(project, check=True) == 0
    page = project / "leaderboards" / "phantom-ci--tiny.md"
    page.write_text("old")
    assert build(project, check=True) == 1
    assert "out of date: leaderboards/phantom-ci--tiny.md" in capsys.readouterr().out
    assert page.read_text() == "old"


def test_a_note_beside_the_results_comes_first(project, make_result):
    results.result_path(make_result(), project).with_name("note.txt").write_text("The films\nare stand-ins.\n")
    build(project)
    page = (project / "leaderboards" / "phantom-ci--tiny.md").read_text()
    assert page.split("\n\n")[1] == "The films are stand-ins."


def test_of_the_datas_folder_only_the_name_is_committed(make_result):
    result = make_result()
    result["config"]["data"] = {"path": "/home/somebody/iu"}
    assert json.loads(results.committed_text(result))["config"]["data"]["path"] == "iu"
    assert result["config"]["data"]["path"] == "/home/somebody/iu"


def test_a_board_whose_results_are_gone_disappears(project, capsys):
    build(project)
    for path in (project / "leaderboards" / "results").rglob("*.json"):
        path.unlink()
    assert build(project, check=True) == 1
    assert "out of date: leaderboards/html/phantom-ci--tiny.html" in capsys.readouterr().out
    build(project)
    assert not (project / "leaderboards" / "phantom-ci--tiny.md").exists()
    assert "No result is committed yet" in (project / "leaderboards" / "README.md").read_text()


def test_the_committed_boards_are_up_to_date():
    assert build(ROOT, check=True) == 0
