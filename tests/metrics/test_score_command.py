"""`fedmrg score` and `fedmrg label` as a user calls them, on the three file formats and on faulty files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli import main
from fedmrg_core.metrics import java as java_module
from fedmrg_core.types import CONDITIONS
from tests.metrics.conftest import PAIRS


@pytest.fixture
def table() -> pd.DataFrame:
    references, hypotheses = zip(*PAIRS, strict=True)
    return pd.DataFrame({"reference": references, "hypothesis": hypotheses, "hospital": ["a", "a", "a", "b", "b", "b"]})


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)


def scored(file: Path, *options: str) -> dict[str, object]:
    out = file.with_name("scores.json")
    assert main(["score", str(file), "--json", str(out), "--resamples", "20", *options]) == 0
    return dict(json.loads(out.read_text()))


def test_the_formats_give_one_result_and_the_table_says_what_is_missing(
    table: pd.DataFrame, tmp_path: Path, no_java: None, capsys: pytest.CaptureFixture[str]
) -> None:
    table.loc[1, "hypothesis"] = "Lungs\u2028are clear, \"quoted\"\nand more."
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_json(tmp_path / "t.jsonl", orient="records", lines=True, force_ascii=False)
    table.to_parquet(tmp_path / "t.parquet")
    first, *rest = (scored(tmp_path / name) for name in ("t.csv", "t.jsonl", "t.parquet"))
    assert all(other == first for other in rest)
    assert set(first["hospitals"]) == {"a", "b"}  # type: ignore[call-overload]
    printed = capsys.readouterr().out
    assert "not scored: meteor (needs Java" in printed
    assert "CE F1 micro" in printed


def test_json_holds_both_conventions_under_the_agreed_names(java: str, table: pd.DataFrame, tmp_path: Path) -> None:
    table.drop(columns="hospital").to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "train.csv").write_text("report\nLungs are clear. No pneumothorax.\n")
    content = scored(tmp_path / "t.csv", "--train", str(tmp_path / "train.csv"))
    for convention in ("ptb", "r2gen"):
        values = content["nlg"][convention]  # type: ignore[index]
        assert set(values) == {"bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rougeL", "cider"}
        assert all({"value", "low", "high", "n", "version", "higher_is_better"} == set(s) for s in values.values())
    assert content["ce"]["ce_f1_micro14"]["n"] == len(PAIRS)  # type: ignore[index]
    assert content["diversity"]["verbatim"]["value"] == pytest.approx(1 / 6)  # type: ignore[index]
    assert "hospitals" not in content


def test_labels_come_out_as_chexberts_files_have_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports = ["Possible edema. No effusion.", "", "Lungs are clear."]
    pd.DataFrame({"report": reports, "id": ["x", "y", "z"]}).to_csv(tmp_path / "r.csv", index=False)
    assert main(["label", str(tmp_path / "r.csv"), "--out", str(tmp_path / "l.csv")]) == 0
    with (tmp_path / "l.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["id", *CONDITIONS]
    assert [rows[0][name] for name in ("id", "Edema", "Pleural Effusion", "No Finding")] == ["x", "-1", "0", "0"]
    assert not any(rows[1][name] for name in CONDITIONS)
    assert rows[2]["No Finding"] == "1"
    assert "3 reports labelled" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "reference,hypothesys\na,b\n", "t.csv: has no column 'hypothesis'; it has: reference, hypothesys"),
        ("t.csv", "reference,hypothesis\n", "t.csv: holds no row"),
        ("t.txt", "x", "unknown file format '.txt'"),
        ("t.jsonl", "{broken\n", "t.jsonl: cannot be read as jsonl"),
        ("t.parquet", "x", "t.parquet: cannot be read as parquet"),
        ("gone/../none.csv", None, "none.csv: no such file"),
    ],
)
def test_a_faulty_file_is_one_line_and_exit_2(
    name: str, content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main(["score", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_output_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, no_java: None) -> None:
    (tmp_path / "r.csv").write_text("report\nEdema.\n")
    assert main(["label", str(tmp_path / "r.csv"), "--out", str(tmp_path / "none" / "l.csv")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]
