"""A registered metric reaches scores, per-study files, `fedmrg compare` and the tables; the page's example does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.run.score_table import score_table
from fedmrg_core.errors import FedMRGError
from fedmrg_core.metrics import catalogue, per_study
from fedmrg_core.metrics import java as java_module
from fedmrg_core.metrics.scorecard import scorecard
from tests.pages import code_block

PAIRS = [("One two three four.", "One two."), ("One two.", "One two three."), ("Five words are in here.", "None.")]


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the page is registered while a test runs; Java is not asked for."""
    catalogue.registered()  # those of the package are imported first
    monkeypatch.setattr(catalogue, "_REGISTERED", dict(catalogue._REGISTERED))
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)
    exec(compile(code_block("adding-a-metric.md", "python"), "length_ratio.py", "exec"), {})


@pytest.fixture
def table() -> pd.DataFrame:
    """Three studies of one hospital each."""
    rows = [
        {"study_id": f"s{i}", "patient_id": f"p{i}", "hospital": f"h{i}", "part": "test", "view": "global",
         "reference": reference, "hypothesis": hypothesis}
        for i, (reference, hypothesis) in enumerate(PAIRS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_it_is_a_ratio_of_sums_with_an_interval_and_a_mean_over_hospitals(table: pd.DataFrame) -> None:
    scores = scorecard(table, None, resamples=50).scores
    found = scores["test/global/length_ratio"]
    assert (found.value, found.n, found.version) == (6 / 11, 3, "length_ratio 1")
    assert found.low < found.value < found.high
    assert scores["test/global/mean_length_ratio"].value == pytest.approx((2 / 4 + 3 / 2 + 1 / 5) / 3)
    assert "test/global/worst_length_ratio" not in scores


def test_it_comes_back_from_the_per_study_file(table: pd.DataFrame, tmp_path: Path) -> None:
    scorecard(table, None, resamples=0).per_study.to_parquet(tmp_path / "s.parquet")
    stored = pd.read_parquet(tmp_path / "s.parquet")
    assert stored["length_ratio"].tolist() == [0.5, 1.5, 0.2]
    (again,) = [measure for measure in per_study.measures(stored) if measure.name == "length_ratio"]
    assert again.score(np.ones((1, 3)), np.arange(3))[0] == 6 / 11


def test_score_and_compare_show_it(table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    table[["reference", "hypothesis"]].to_csv(names[0], index=False)
    table.assign(hypothesis=table["reference"])[["reference", "hypothesis"]].to_csv(names[1], index=False)
    assert main(["score", names[0], "--resamples", "0"]) == 0
    assert "length_ratio 0.5455 [0.5455, 0.5455]" in " ".join(capsys.readouterr().out.split())
    assert main(["compare", *names, "--draws", "100"]) == 0
    assert "length_ratio 0.5455 1.0000 -0.4545 [" in " ".join(capsys.readouterr().out.split())


def test_the_score_table_of_a_run_shows_it() -> None:
    result = {
        "algorithm": "fedavg", "split": "s", "preset": "p", "seed": 0,
        "communication": {"per_round": [], "upload_bytes": 0}, "provenance": {"seconds": {}},
        "scores": {"test/global/length_ratio": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 3}},
    }  # fmt: skip
    (line,) = [line for line in score_table(result).splitlines() if line.startswith("length ratio")]
    assert line.split()[2:] == ["0.500", "[0.250,", "0.750]"]


def test_boards_have_a_column_for_it() -> None:
    assert "length_ratio" in [metric.key for metric in catalogue.shown("board")]


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        ("length_ratio", {}, "metric 'length_ratio' exists already"),
        ("bleu4", {}, "metric 'bleu4' exists already"),
        ("worst_length", {}, "metric key 'worst_length'"),
        ("a/b", {}, "metric key 'a/b'"),
        ("other", {"tables": ("bord",)}, "unknown table 'bord'. Did you mean 'board'"),
    ],
)
def test_what_cannot_be_registered_is_said(key: str, options: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(FedMRGError, match=message.replace(".", r"\.")):
        catalogue.metric(key, title="t", version="1", **options)


def test_a_function_that_loses_rows_is_named(table: pd.DataFrame) -> None:
    catalogue.metric("short", title="short", version="1")(lambda reports: np.zeros(2))
    with pytest.raises(FedMRGError, match=r"metric 'short' returned the shape \(2,\) for 3 reports"):
        scorecard(table, None, resamples=0)
