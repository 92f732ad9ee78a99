"""`fedmrg compare` on files: known answers, Holm over what is printed, and systems that cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.cli import main
from fedmrg_core.metrics import java as java_module

REFERENCES = [f"Heart number {word} is normal." for word in ("one", "two", "three", "four", "five")]


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A system that copies five references, one that writes nothing, and one that copies in another order of rows."""
    table = pd.DataFrame({"id": list("abcde"), "reference": REFERENCES, "hypothesis": REFERENCES})
    table.to_csv(tmp_path / "copies.csv", index=False)
    table.assign(hypothesis="").to_csv(tmp_path / "silent.csv", index=False)
    table.iloc[::-1].to_json(tmp_path / "again.jsonl", orient="records", lines=True)
    return [str(tmp_path / name) for name in ("copies.csv", "silent.csv", "again.jsonl")]


def compared(tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    out = tmp_path / "out.json"
    assert main(["compare", *words, "--json", str(out)]) == 0
    return list(json.loads(out.read_text())["comparisons"])


def test_known_answers_with_holm_over_all_that_is_printed(files: list[str], tmp_path: Path) -> None:
    rows = compared(tmp_path, *files, "--metric", "rougeL")
    found = {(row["first"], row["second"]): row for row in rows}
    gain = found["copies.csv", "silent.csv"]
    assert (gain["value"], gain["low"], gain["high"]) == pytest.approx((1.0, 1.0, 1.0))
    assert gain["p"] == pytest.approx(2 / 2**5)  # five patients, all on one side
    assert gain["p_holm"] == pytest.approx(3 * 2 / 2**5)  # of three comparisons
    same = found["copies.csv", "again.jsonl"]
    assert (same["value"], same["p"], same["p_holm"]) == (0.0, 1.0, 1.0)


def test_per_study_files_do_as_well_as_the_texts(files: list[str], tmp_path: Path) -> None:
    made = []
    for file in files[:2]:
        made.append(str(tmp_path / f"{Path(file).stem}.parquet"))
        assert main(["score", file, "--resamples", "0", "--per-study", made[-1]]) == 0
    first, second = (compared(tmp_path, *pair, "--metric", "bleu2", "ce_f1_micro14") for pair in (files[:2], made))
    assert [row["value"] for row in first] == [row["value"] for row in second]
    assert [row["p"] for row in first] == [row["p"] for row in second]


def test_systems_that_wrote_about_other_studies_or_references_are_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.read_csv(files[0]).assign(id=list("abcdx")).to_csv(tmp_path / "ids.csv", index=False)
    pd.read_csv(files[0]).assign(reference="Large effusion.").to_csv(tmp_path / "other.csv", index=False)
    pd.read_csv(files[0]).assign(patient="p").to_csv(tmp_path / "patients.csv", index=False)
    for name, message in (
        ("ids.csv", "not the same studies: copies.csv has 5 rows, ids.csv 5, 4 studies are common"),
        ("other.csv", "study a has another patient or reference in copies.csv than in other.csv"),
        ("patients.csv", "study a has another patient or reference"),
    ):
        assert main(["compare", files[0], str(tmp_path / name)]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["copies.csv"], "compare needs two systems or more"),
        (["copies.csv", "silent.csv", "--draws", "5"], "--draws 5 is out of range"),
        (["copies.csv", "silent.csv", "--metric", "bleu5"], "unknown metric of copies.csv 'bleu5'. Did you mean 'bleu"),
        (["copies.csv", "silent.csv", "--at", "unseen/global"], "unknown part and view of copies.csv 'unseen/global'"),
        (["copies.csv", "no-such-run"], "unknown run 'no-such-run'"),
        (["copies.csv", "gone.csv"], "gone.csv: no such file"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], message: str, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words, "--root", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
