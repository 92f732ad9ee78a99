"""`fedmrg runs` lists the newest run first, whatever became of it; `fedmrg --version`."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli import main


def run(folder: Path, name: str, algorithm: str, **result: Any) -> None:
    (folder / name).mkdir()
    config = {"name": algorithm, "run": {"split": "phantom/ci", "seed": 2}}
    (folder / name / "config.json").write_text(json.dumps(config))
    if result:
        (folder / name / "result.json").write_text(json.dumps(result))


def test_every_run_is_one_line_and_the_newest_is_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "20260101-101500-fedavg-a", "fedavg", status="finished")
    run(tmp_path, "20260301-101500-fedmrg-b", "fedmrg")
    run(tmp_path, "20260201-101500-fedprox-c", "fedprox", status="interrupted")
    (tmp_path / "20260101-090000-damaged").mkdir()
    (tmp_path / "20260101-090000-damaged" / "config.json").write_text("{")
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["began", "status", "algorithm", "split", "seed", "id"],
        ["2026-03-01", "10:15", "unfinished", "fedmrg", "phantom/ci", "2", "20260301-101500-fedmrg-b"],
        ["2026-02-01", "10:15", "interrupted", "fedprox", "phantom/ci", "2", "20260201-101500-fedprox-c"],
        ["2026-01-01", "10:15", "finished", "fedavg", "phantom/ci", "2", "20260101-101500-fedavg-a"],
        ["2026-01-01", "09:00", "damaged", "20260101-090000-damaged"],
    ]


def test_without_runs_it_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}; `fedmrg bench` makes one\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fedmrg {version('fedmrg')}\n"
