"""The RadEval extra: how its absence and its failures read, and what is passed through when it is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from benchmark.cli import main
from fedmrg_core.errors import FedMRGError
from fedmrg_core.metrics import java as java_module
from fedmrg_core.metrics.radeval import evaluator


class RadEval:
    """RadEval 2.2's calls, with made-up numbers."""

    def __init__(self, metrics: list[str], per_sample: bool, show_progress: bool) -> None:
        assert per_sample
        assert not show_progress
        if "ratescore" in metrics:
            raise OSError("no weights at the hub\nand a second line")
        if "temporal" in metrics:
            raise ModuleNotFoundError("No module named 'stanza'", name="stanza")
        self.metrics = metrics

    def __call__(self, refs: list[str], hyps: list[str]) -> dict[str, object]:
        if "green" in self.metrics:
            raise OSError("cannot reach the hub")
        same = [float(reference == hypothesis) for reference, hypothesis in zip(refs, hyps, strict=True)]
        return {"radgraph_simple": same, "radcliq_v1": [1 - value for value in same], "label_scores": {"a": 1}}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("radeval")
    module.RadEval = RadEval  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "radeval", module)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)
    rows = {"reference": ["Edema.", "Clear lungs."] * 2, "hypothesis": ["Edema.", "Fracture."] * 2}
    pd.DataFrame({**rows, "hospital": list("aabb")}).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_per_study_values_become_measures_that_know_their_direction(package: None) -> None:
    graph, cliq = evaluator(["radgraph", "radcliq"])(["a", "b"], ["a", "c"])
    assert (graph.name, list(graph.per_study), graph.higher_is_better) == ("radeval_radgraph_simple", [1.0, 0.0], True)
    assert (cliq.name, list(cliq.per_study), cliq.higher_is_better) == ("radeval_radcliq_v1", [0.0, 1.0], False)


def test_score_reports_them_with_interval_hospitals_and_per_study_values(package: None, table: Path) -> None:
    out, studies = table.with_name("o.json"), table.with_name("s.parquet")
    words = ["score", str(table), "--radeval", "radgraph, radcliq", "--json", str(out), "--per-study", str(studies)]
    assert main(words) == 0
    content = json.loads(out.read_text())
    score = content["radeval"]["radgraph_simple"]
    assert (score["value"], score["n"], score["version"]) == (0.5, 4, "radeval of unknown version")
    assert score["low"] < 0.5 < score["high"]
    assert content["hospitals"]["a"]["radeval"]["radgraph_simple"]["value"] == 0.5
    assert content["over_hospitals"]["worst_radeval_radcliq_v1"]["value"] == 0.5
    assert list(pd.read_parquet(studies)["radeval_radgraph_simple"]) == [1.0, 0.0, 1.0, 0.0]


def test_missing_package_weights_and_names_are_explained(package: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FedMRGError, match=r"cannot reach the hub.*fetches model weights"):
        evaluator(["green"])(["a"], ["a"])
    with pytest.raises(FedMRGError, match=r"^[^\n]*no weights at the hub\. It fetches[^\n]*$"):
        evaluator(["ratescore"])
    with pytest.raises(FedMRGError, match=r"No module named 'stanza'\. Install the whole extra"):
        evaluator(["temporal"])
    with pytest.raises(FedMRGError, match=r"unknown RadEval metric 'radgraf'.*Did you mean 'radgraph'"):
        evaluator(["radgraf"])
    monkeypatch.setitem(sys.modules, "radeval", None)
    with pytest.raises(FedMRGError, match=r"pip install 'fedmrg\[radeval\]'"):
        evaluator(["radgraph"])


def test_without_the_package_the_command_says_so_in_one_line(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "radeval", None)
    assert main(["score", str(table), "--radeval", "radgraph,bertscore"]) == 2
    assert capsys.readouterr().err == (
        "fedmrg: RadEval is not installed: `pip install 'fedmrg[radeval]'` (some 45 more packages)\n"
    )
