"""`fedmrg score` as a user calls it, on the three file formats and on faulty files."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli import main
from fedmrg_core.metrics import java as java_module
from tests.metrics.conftest import PAIRS, Golden


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
    table.loc[1, "hypothesis"] = 'Lungs\u2028are clear, "quoted"\nand more.'
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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "reference,hypothesys\na,b\n", "no column 'hypothesis'. Is it 'hypothesys'? Rename it. Columns: ref"),
        ("t.csv", "Reference,hypothesis\na,b\n", "Is it 'Reference'? Rename it."),
        ("t.csv", "reference,hypothesis\na,b\nc,d,e\n", "t.csv, row 3: 3 cells, but the header has 2"),
        ("t.csv", "reference,hypothesis,hypothesis\na,b,c\n", "t.csv, row 1: column 'hypothesis' exists twice"),
        ("t.csv", 'reference,hypothesis\na,"b\n', "t.csv, row 2: not a well-formed CSV file (unexpected end of data)"),
        ("t.csv", "", "t.csv: the file is empty"),
        ("t.csv", "study_id,part,view,reference,hypothesis\na,b,c,d,e\n", "`fedmrg score --run RUN_ID`"),
        ("t.jsonl", "[1, 2]\n", "t.jsonl, row 1: is not a JSON object"),
        ("t.jsonl", '{"reference": ["a"], "hypothesis": "b"}\n', "t.jsonl, row 1: 'reference' is a list, not text"),
        ("t.csv", "reference,hypothesis\n", "t.csv: has no rows"),
        ("t.txt", "x", "unknown file format '.txt'"),
        ("t.jsonl", "{broken\n", "t.jsonl, row 1: is not JSON"),
        ("t.parquet", "x", "t.parquet: cannot be read as Parquet"),
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


def table_of(*rows: tuple[str, str], **columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"reference": [a for a, _ in rows], "hypothesis": [b for _, b in rows], **columns})


HARD = table_of(
    ("Heart normal.", ""), ("", "Heart normal."), ("", ""), ("a ||| b", "||| |||"),
    ("No effusion.\nHeart normal.", "No effusion.\u2028Heart\r\nnormal."), ("x\ry", "x\u2029y\x85z"),
    ("Herzgr\u00f6\u00dfe \u2013 \u5fc3\u81d3 \U0001fac1", "\x07"), ("Lungs are clear.", "Lungs are clear."),
)  # fmt: skip


def test_hard_texts_stay_in_their_rows_through_every_format(java: str, tmp_path: Path) -> None:
    HARD.to_csv(tmp_path / "t.csv", index=False)  # pandas leaves x\ry without quotes
    HARD.to_json(tmp_path / "t.jsonl", orient="records", lines=True, force_ascii=False)
    HARD.to_parquet(tmp_path / "t.parquet")
    studies = [str(tmp_path / f"{i}.parquet") for i in range(3)]
    contents = [
        scored(tmp_path / name, "--per-study", out)
        for name, out in zip(("t.csv", "t.jsonl", "t.parquet"), studies, strict=True)
    ]
    assert contents[0] == contents[1] == contents[2]
    assert contents[0]["n"] == len(HARD)
    assert contents[0]["notes"] == [
        "column reference is empty in 2 of 8 rows; they are scored as they are",
        "column hypothesis is empty in 2 of 8 rows; they are scored as they are",
    ]
    values = pd.read_parquet(studies[0])
    assert list(values["study_id"]) == [str(row) for row in range(len(HARD))]
    for name in ("rougeL", "rougeL_ptb", "meteor", "meteor_ptb"):
        assert values[name].iloc[-1] == pytest.approx(1.0)
        assert values[name].iloc[0] == 0.0


def test_blank_hospitals_patients_and_repeated_ids_are_scored_and_said(tmp_path: Path, no_java: None) -> None:
    rows = table_of(
        *PAIRS, id=list("aabcde"), hospital=["x", "x", "", "y", "y", ""], patient=["p", "p", "", "", "q", ""]
    )
    rows.to_csv(tmp_path / "t.csv", index=False)
    content = scored(tmp_path / "t.csv", "--per-study", str(tmp_path / "s.parquet"))
    assert set(content["hospitals"]) == {"x", "y", "unnamed"}  # type: ignore[call-overload]
    assert content["hospitals"]["unnamed"]["n"] == 2  # type: ignore[index]
    assert content["notes"] == ["1 id(s) are in several rows, such as 'a'; every row is scored"]
    assert pd.read_parquet(tmp_path / "s.parquet")["patient_id"].nunique() == 5


def test_a_single_pair_and_null_cells(tmp_path: Path, no_java: None) -> None:
    (tmp_path / "one.csv").write_text(
        "reference;hypothesis\nLungs are clear, both.;Lungs are clear, both.\n", "utf-8-sig"
    )
    content = scored(tmp_path / "one.csv")
    assert content["nlg"]["r2gen"]["bleu4"]["value"] == pytest.approx(1.0)  # type: ignore[index]
    assert content["nlg"]["r2gen"]["cider"]["value"] == 0.0  # type: ignore[index]
    pd.DataFrame({"reference": ["a", None], "hypothesis": [float("nan"), "b"]}).to_parquet(tmp_path / "null.parquet")
    (tmp_path / "null.csv").write_text("reference,hypothesis\na,NaN\nnan,b\n")
    (tmp_path / "null.jsonl").write_text(
        '{"reference": "a", "hypothesis": NaN}\n{"reference": null, "hypothesis": "b"}\n'
    )
    contents = [scored(tmp_path / f"null.{suffix}") for suffix in ("parquet", "csv", "jsonl")]
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0]["notes"]) == 2  # type: ignore[arg-type]


def test_golden_values_through_the_command(java: str, golden: Golden, tmp_path: Path) -> None:
    table_of(*zip(golden.references, golden.hypotheses, strict=True)).to_csv(tmp_path / "t.csv", index=False)
    content = scored(tmp_path / "t.csv")
    for convention, stored in (("r2gen", "r2gen_clean"), ("ptb", "ptb")):
        values, wanted = content["nlg"][convention], golden.scores[stored]["corpus"]  # type: ignore[index]
        names = dict.fromkeys(("bleu1", "bleu2", "bleu3", "bleu4"))
        found = {name: values[name]["value"] for name in (*names, "meteor", "rougeL", "cider")}
        expected = {**dict(zip(names, wanted["BLEU"], strict=True)), "meteor": wanted["METEOR"]}
        assert found == pytest.approx({**expected, "rougeL": wanted["ROUGE_L"], "cider": wanted["CIDEr"]}, abs=1e-6)


def test_chexbert_scores_from_the_command(
    checkpoint: Path, table: pd.DataFrame, tmp_path: Path, no_java: None
) -> None:
    table.to_csv(tmp_path / "t.csv", index=False)
    content = scored(tmp_path / "t.csv", "--labeler", "chexbert", "--weights", str(checkpoint))
    assert content["ce"]["ce_f1_micro14"]["version"].startswith("chexbert ")  # type: ignore[index]


def test_outputs_that_cannot_be_written_are_refused_before_scoring(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table.to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setattr("benchmark.commands.score.read_table", None)
    for option in ("--json", "--per-study"):
        assert main(["score", str(tmp_path / "t.csv"), option, str(tmp_path)]) == 2
        assert "is a folder, not a file to write" in capsys.readouterr().err
