"""`fedmrg submit`: a run becomes a sealed row of its board; `leaderboard --with` shows it without committing it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.board import results
from benchmark.cli import main
from benchmark.run.options import BENCH_VERSION
from fedmrg_core.runfolder import CONFIG, PER_STUDY, RESULT

ROW = "leaderboards/results/phantom/ci/tiny/fedmrg--s0.json"


@pytest.fixture(name="run")
def _run(tmp_path: Path, result: dict, table) -> dict:
    """A finished run in a project folder, with the values of its studies."""
    made = {**result, "run_id": "20260101-000000-fedmrg-ab12", "bench_version": BENCH_VERSION}
    made["scores"] = {key: score for key, score in made["scores"].items() if key.startswith("test/global/")}
    folder = tmp_path / "runs" / made["run_id"]
    folder.mkdir(parents=True)
    table.to_parquet(folder / PER_STUDY)
    (folder / CONFIG).write_text("{}")
    (tmp_path / "leaderboards").mkdir()
    return save(made, tmp_path)


def save(run: dict, root: Path, **changes) -> dict:
    made = {**run, **changes}
    (root / "runs" / made["run_id"] / RESULT).write_text(json.dumps(made))
    return made


def submit(run: dict, root: Path, *options: str) -> int:
    return main(["submit", run["run_id"], "--root", str(root), *options])


def test_a_run_becomes_a_row_that_is_refused_once_it_is_changed(run, tmp_path, capsys):
    assert submit(run, tmp_path, "--licence", "CC0-1.0") == 0
    said = capsys.readouterr().out
    assert said.splitlines()[:2] == [ROW, ROW.replace(".json", ".npz")]
    assert "will be ranked" in said
    (found,) = results.load(tmp_path)
    assert found["submission"]["licence"] == "CC0-1.0"
    assert submit(run, tmp_path) == 2
    assert "is committed already; --again replaces it" in capsys.readouterr().err
    path = tmp_path / ROW
    whole = path.read_text()
    for before, after, word in (
        ('"seed": 0', '"seed": 0, "x": 1', "it was changed after"),
        ("CC0-1.0", "none", "its submission has no licence of Apache-2.0"),
    ):
        path.write_text(whole.replace(before, after, 1))
        assert main(["leaderboard", "--root", str(tmp_path)]) == 2
        assert f"does not verify: {word}" in capsys.readouterr().err
    path.write_text(whole)
    (tmp_path / ROW).with_suffix(".npz").unlink()
    assert main(["leaderboard", "--root", str(tmp_path)]) == 2
    assert "fedmrg--s0.npz is not the one it came with" in capsys.readouterr().err


def test_what_may_not_be_on_a_board_is_refused_in_one_line(run, tmp_path, capsys):
    for changes, said in (
        ({"provenance": {**run["provenance"], "dirty": True}}, "uncommitted changes"),
        ({"bench_version": "1"}, f"of bench_version 1, now {BENCH_VERSION}"),
        ({"status": "interrupted"}, "is not finished"),
        ({"seed": -1}, "seed is -1"),
    ):
        save(run, tmp_path, **changes)
        assert submit(run, tmp_path) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not (tmp_path / ROW).exists()


def test_a_board_shows_a_run_that_is_not_committed(run, tmp_path, make_result, capsys):
    other = make_result("fedavg")
    path = results.result_path(other, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(results.committed_text(other))
    assert main(["leaderboard", "--root", str(tmp_path), "--with", run["run_id"]]) == 0
    page = (tmp_path / "runs" / run["run_id"] / "board.html").read_text()
    assert "fedmrg ab12" in page
    assert "fedavg" in page
    assert "not ranked: bench_version" not in capsys.readouterr().out
    assert not (tmp_path / "leaderboards" / "html").exists()
