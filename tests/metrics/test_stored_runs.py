"""`score --run` and `compare` read runs by their id alone, and name a damaged file in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.cli import main

SCORE = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 2, "version": "v", "higher_is_better": True}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project folder with the run r1, and a folder like a run outside its runs/."""
    for folder in (tmp_path / "project" / "runs" / "r1", tmp_path / "outside"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "result.json").write_text(json.dumps(result()))
        (folder / "generations.parquet").write_bytes(b"PAR1 and no more")
        (folder / "per_study.parquet").write_bytes(b"PAR1 and no more")
    return tmp_path / "project"


def result(**changes: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {"config": {}, "provenance": {}, "communication": {}}
    return {"run_id": "r1", "status": "finished", "scores": {"test/global/bleu4": SCORE}, **parts, **changes}


def refused(words: list[str], root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, "--root", str(root)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("name", ["../outside", "../../outside", "../runs/r1", "r1/", "./r1", "{tmp}/outside", "r2"])
def test_only_an_id_names_a_run(name: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = name.replace("{tmp}", str(root.parent))
    for words in (["score", "--run", name], ["compare", name, name]):
        message = refused(words, root, capsys)  # a long name is shortened in it
        assert message.startswith(f"fedmrg: unknown run '{name[:20]}")
        assert "Allowed: r1." in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "result.json: is damaged"),
        ("[]", "result.json: is damaged: no JSON object"),
        (json.dumps(result(scores=[])), "result.json: is damaged: its scores are no numbers with a version"),
        (json.dumps(result(scores={"test/global/bleu4": {**SCORE, "value": "high"}})), "its scores are no numbers"),
        (json.dumps(result(config=None)), "result.json: is damaged: it lacks config or provenance"),
        (json.dumps(result(run_id="../../r1")), "result.json: is damaged: it belongs to another run"),
        (json.dumps(result(status="failed")), "run r1 is not finished"),
        (json.dumps(result()), "generations.parquet: cannot be read as parquet"),
    ],
)
def test_a_damaged_result_is_one_line(
    content: str, message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "runs" / "r1" / "result.json").write_text(content)
    assert message in refused(["score", "--run", "r1"], root, capsys)


def test_damaged_tables_are_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / "runs" / "r1"
    assert "per_study.parquet: cannot be read as parquet" in refused(["compare", "r1", "r1"], root, capsys)
    pd.DataFrame({"study_id": ["a"], "part": ["test"]}).to_parquet(folder / "per_study.parquet")
    assert "is damaged: it lacks the column(s) patient_id" in refused(["compare", "r1", "r1"], root, capsys)
    pd.DataFrame({"study_id": ["a"], "reference": ["b"]}).to_parquet(folder / "generations.parquet")
    assert "generations.parquet: is damaged: it lacks the column(s)" in refused(["score", "--run", "r1"], root, capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score", "x.csv", "--resamples", "-5"], "-5 is out of range; allowed: 0 (no intervals) to 100000"),
        (["score", "x.csv", "--resamples", "1000000000"], "--resamples 1000000000 is out of range"),
        (["score", "x.csv", "--resamples", "nan"], "invalid int value: 'nan'"),
        (["compare", "x.csv", "y.csv", "--draws", "-5"], "--draws -5 is out of range; allowed: 100 to 1000000"),
    ],
)
def test_a_number_out_of_range_is_refused_before_anything_is_read(
    words: list[str], message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(words, root, capsys)
