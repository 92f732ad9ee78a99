"""A run scored again: the same keys and values, and what --update stores; two runs compared study by study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.board import results
from benchmark.board.results import committed_text
from benchmark.cli import main
from benchmark.run import provenance
from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from fedmrg_core.metrics import labeler
from fedmrg_core.types import Labels
from tests.toy import toy_config


@pytest.fixture(scope="module")
def made(toy_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A project folder with a finished run of fedmrg and one of random_train, the first committed."""
    root = tmp_path_factory.mktemp("project")
    (root / ".cache").symlink_to(toy_cache)
    options = Options(quiet=True, runs=root / "runs", cache=toy_cache, track=False)
    done = [run_experiment(toy_config(name), options) for name in ("fedmrg", "random_train")]
    path = results.result_path(done[0], root)
    path.parent.mkdir(parents=True)
    path.write_text(committed_text(json.loads((root / "runs" / done[0]["run_id"] / "result.json").read_text())))
    return {"root": root, "ids": [result["run_id"] for result in done], "committed": path}


def stored(made: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads((made["root"] / "runs" / made["ids"][0] / "result.json").read_text()))


def score(made: dict[str, Any], *options: str) -> int:
    return main(["score", "--run", made["ids"][0], "--root", str(made["root"]), *options])


def test_scored_again_a_run_has_the_keys_and_values_that_it_had(
    made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again.json"
    assert score(made, "--json", str(out), "--per-study", str(tmp_path / "p.parquet")) == 0
    assert json.loads(out.read_text())["scores"] == stored(made)["scores"]
    assert "0 with another value, 0 with another version" in capsys.readouterr().out
    again = pd.read_parquet(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(again, pd.read_parquet(made["root"] / "runs" / made["ids"][0] / "per_study.parquet"))


def test_an_update_says_which_version_took_the_place_of_which(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_positive(reports: Sequence[str]) -> list[Labels]:
        return [(0,) * 14 for _ in reports]

    old, state = labeler.VERSION, {"git_sha": "abc", "dirty": True}
    monkeypatch.setattr(labeler, "label_many", none_positive)
    monkeypatch.setattr(labeler, "VERSION", "rules 99")
    monkeypatch.setattr(provenance, "collect", lambda root, device: state)
    assert score(made, "--update") == 0
    printed = capsys.readouterr().out
    assert f"{old} -> rules 99" in printed
    assert "not updated: the committed result" in printed
    result = stored(made)
    assert result["scores"]["test/global/ce_f1_micro14"]["version"] == "rules 99"
    assert result["rescored"][0]["versions"] == {old: "rules 99"}
    assert result["rescored"][0]["dirty"] is True
    assert "rules 99" not in made["committed"].read_text()
    state["dirty"] = False
    assert score(made, "--update") == 0
    assert json.loads(made["committed"].read_text())["rescored"][-1]["git_sha"] == "abc"
    assert '"rules 99"' in made["committed"].read_text()
    assert main(["compare", *made["ids"], "--root", str(made["root"])]) == 2
    assert f"ce_f1_micro14 has version 'rules 99' in {made['ids'][0]} and '{old}'" in capsys.readouterr().err
    monkeypatch.undo()
    assert score(made, "--update") == 0


def test_two_runs_are_compared_on_the_same_studies(made: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    out = made["root"] / "compared.json"
    options = ["--root", str(made["root"]), "--metric", "bleu4", "rougeL", "--draws", "500", "--json", str(out)]
    assert main(["compare", *made["ids"], *options]) == 0
    content = json.loads(out.read_text())
    assert content["at"] == "test/personal"
    (bleu, rouge) = content["comparisons"]
    scores = [json.loads((made["root"] / "runs" / name / "result.json").read_text())["scores"] for name in made["ids"]]
    for row in (bleu, rouge):
        values = [s[f"test/personal/{row['metric']}"]["value"] for s in scores]
        assert row["value"] == pytest.approx(values[0] - values[1])
        assert row["low"] <= row["value"] <= row["high"]
        assert row["p"] <= row["p_holm"] <= 1
    assert "p, Holm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--update", "--labeler", "rules"], "--update scores by the run's config; leave out --labeler"),
        (["--train", "x.csv"], "--train is for a file"),
        (["outputs.csv"], "give either a FILE or --run RUN_ID"),
        (["--json", "nowhere/at/all.json"], "nowhere/at/all.json: its folder does not exist"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_scored(
    made: dict[str, Any], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(made, *options) == 2
    assert message in capsys.readouterr().err


def test_a_run_without_text_or_with_other_data_or_scores_is_not_scored(
    made: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made["root"] / "runs" / made["ids"][1]
    result, text = json.loads((folder / "result.json").read_text()), (folder / "generations.parquet").read_bytes()
    main_ = ["score", "--run", made["ids"][1], "--root", str(made["root"]), "--update"]
    more = {**result, "scores": {**result["scores"], "test/global/meteor": result["scores"]["test/global/bleu1"]}}
    other = {**result, "provenance": {**result["provenance"], "data_sha256": "other"}}
    for changed, message in ((more, "1 scores of the run cannot be computed here"), (other, "its hash differs")):
        (folder / "result.json").write_text(json.dumps(changed))
        assert main(main_) == 2
        assert message in capsys.readouterr().err
    (folder / "result.json").write_text(json.dumps(result))
    pd.read_parquet(folder / "generations.parquet").assign(reference="", hypothesis="").to_parquet(
        folder / "generations.parquet"
    )
    assert main(main_) == 2
    assert "has no text" in capsys.readouterr().err
    (folder / "generations.parquet").write_bytes(text)
