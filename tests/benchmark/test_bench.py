"""`fedmrg bench` from end to end: what a run leaves, resume after a kill, Ctrl-C, real films, and refused input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from benchmark.cli import main
from benchmark.commands import bench as run
from benchmark.run import settings
from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.engine.generation_cache import GenerationCache
from fedmrg_core.errors import FedMRGError
from tests.conftest import ROOT
from tests.toy import SMALL, toy_config

CHILD = """
import signal
import sys
from pathlib import Path
from benchmark.run.options import Options
from benchmark.run.experiment import run_experiment
from fedmrg_core.errors import FedMRGError
from tests.toy import toy_config
signal.signal(signal.SIGINT, signal.default_int_handler)  # as at a terminal, also where CI runs in the background
runs, cache, resume, *overrides = sys.argv[1:]
try:
    options = Options(quiet=True, resume=resume, runs=Path(runs), cache=Path(cache), track=False)
    run_experiment(toy_config("fedmrg", *overrides), options)
except FedMRGError as error:
    print(f"fedmrg: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _no_run_outlives_its_test() -> Iterator[None]:
    yield
    for child in STARTED:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    STARTED.clear()


def start(runs: Path, cache: Path, *overrides: str, resume: str = "") -> subprocess.Popen[str]:
    """A run in a process of its own, leader of its own group."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(runs), str(cache), resume, *overrides],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    STARTED.append(child)
    return child


def wait_for_rounds(runs: Path, count: int, child: subprocess.Popen[str]) -> str:
    """Wait until that many rounds are on disk; returns the run id."""
    for _ in range(2400):
        for path in runs.glob("*/rounds.jsonl"):
            if len(path.read_text().splitlines()) >= count:
                return path.parent.name
        assert child.poll() is None, child.stderr.read() if child.stderr else ""
        time.sleep(0.1)
    raise AssertionError("no round in four minutes")


@pytest.fixture(scope="module")
def whole(toy_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Six rounds of FedMRG that nothing disturbed, logged to an MLflow of its own."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        options = Options(quiet=True, runs=folder / "runs", cache=toy_cache)
        result = run_experiment(toy_config("fedmrg", "train.rounds=6"), options)
    return {**result, "folder": folder}


def test_a_run_leaves_all_that_the_contract_names(whole: dict[str, Any]) -> None:
    folder = whole["folder"] / "runs" / whole["run_id"]
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    assert {"split_sha256", "data_sha256", "model_sha256", "seconds", "versions"} <= set(result["provenance"])
    for view in ("test/global", "test/personal", "unseen/global"):
        for metric in ("bleu1", "bleu4", "rougeL", "cider", "ce_f1_micro14", "worst_ce_f1_micro14", "head_auroc"):
            assert f"{view}/{metric}" in result["scores"]
    assert "test/personal/h01/bleu4" in result["scores"]
    assert "unseen/personal/bleu4" not in result["scores"]
    rounds = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert [row["round"] for row in rounds] == [0, 1, 2, 3, 4, 5, 6], "the last one is FedMRG's finish"
    for direction in ("upload", "download"):
        total = sum(row["bytes"] for row in ledger if row["direction"] == direction)
        assert total == result["communication"][f"{direction}_bytes"] > 0
    written = pd.read_parquet(folder / "generations.parquet")
    assert set(written["view"]) == {"global", "personal"}
    assert len(written[written["part"] == "unseen"]) == result["scores"]["unseen/global/bleu4"]["n"]


def test_a_finished_run_is_shown_and_not_run_again(
    whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "Options", partial(Options, runs=whole["folder"] / "runs"))
    monkeypatch.setattr("benchmark.run.experiment.run_experiment", lambda *_: pytest.fail("it was run again"))
    assert main(["bench", "--resume", whole["run_id"], "--json"]) == 0
    said = capsys.readouterr()
    assert "has finished already" in said.err
    assert json.loads(said.out)["params_sha256"] == whole["params_sha256"]


def test_a_run_stands_in_mlflow(whole: dict[str, Any]) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{whole['folder']}/mlflow.db")
    experiments = [one.experiment_id for one in client.search_experiments()]
    (logged,) = client.search_runs(experiments, "tags.kind = 'run'")
    assert logged.info.status == "FINISHED"
    score = whole["scores"]["test/personal/ce_f1_micro14"]["value"]
    assert logged.data.metrics["ce_f1"] == pytest.approx(score, abs=1e-4)
    assert len([name for name in logged.data.metrics if not name.startswith("system/")]) < 20
    assert len(client.get_metric_history(logged.info.run_id, "train_loss")) == 6
    nested = client.search_runs(experiments, "tags.kind = 'hospital'")
    assert {run.data.tags["hospital"] for run in nested} >= {"h01", "h02"}
    assert [one["path"] for one in json.loads(logged.data.tags["mlflow.loggedArtifacts"])] == ["samples.json"]
    (model,) = client.search_logged_models(experiments)
    files = {path.name for path in (whole["folder"] / "mlartifacts").rglob(f"models/{model.model_id}/artifacts/*")}
    assert {"README.md", "vision.safetensors", "adapter_model.safetensors"} <= files


def refused_without_a_line(config: settings.Config, options: Options, folder: Path) -> None:
    """A run whose ledger lacks a line is not continued, and not changed."""
    path, result = folder / "ledger.jsonl", (folder / "result.json").read_bytes()
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[1:]))
    with pytest.raises(FedMRGError, match=r"ledger\.jsonl: lacks lines of round 0"):
        run_experiment(config, options)
    assert (folder / "result.json").read_bytes() == result
    path.write_bytes(whole)


def test_a_fault_file_belongs_to_the_run_and_a_full_disk_loses_no_round(toy_cache: Path, tmp_path: Path) -> None:
    table = {
        "policy": {"on_failure": "drop"},
        "fault": [
            {"kind": "client_error", "client": "h01", "rounds": [0]},
            {"kind": "disk_full", "rounds": [1]},
        ],
    }
    config = replace(toy_config("fedavg"), faults=table)
    assert config.hash() != toy_config("fedavg").hash()
    assert settings.from_dict(config.as_dict()) == config
    options = Options(quiet=True, runs=tmp_path, cache=toy_cache, track=False)
    with pytest.raises(FedMRGError, match=r"the disk is full .* `fedmrg bench --resume \S+` goes on"):
        run_experiment(config, options)
    (folder,) = tmp_path.iterdir()
    refused_without_a_line(config, replace(options, resume=folder.name), folder)
    result = run_experiment(config, replace(options, resume=folder.name))
    assert result["status"] == "finished"
    (failure,) = result["failures"]
    assert (failure["kind"], failure["client"], failure["policy"]) == ("client_error", "h01", "drop")


def test_killed_and_resumed_is_as_never_killed(whole: dict[str, Any], toy_cache: Path, tmp_path: Path) -> None:
    child = start(tmp_path, toy_cache, "train.rounds=6")
    run_id = wait_for_rounds(tmp_path, 2, child)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not (tmp_path / run_id / "result.json").exists()
    stored = settings.from_dict(json.loads((tmp_path / run_id / "config.json").read_text()))
    result = run_experiment(stored, Options(True, run_id, tmp_path, toy_cache, track=False))
    assert result["params_sha256"] == whole["params_sha256"]
    assert result["scores"] == whole["scores"]
    assert result["communication"] == whole["communication"]


def test_a_cut_off_generation_is_resumed_and_leaves_no_copy_of_its_reports(
    toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toy_config("fedavg", "train.rounds=1")
    options = Options(quiet=True, runs=tmp_path, cache=toy_cache, track=False)
    whole = run_experiment(config, replace(options, runs=tmp_path / "whole"))
    add, count = GenerationCache.add, []

    def cut(*given: Any) -> None:
        add(*given)
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(GenerationCache, "add", cut)
    with pytest.raises(FedMRGError, match="interrupted"):
        run_experiment(config, replace(options, runs=tmp_path / "cut"))
    (folder,) = (tmp_path / "cut").iterdir()
    assert len((folder / "generations.jsonl").read_text().split()) > 0
    again = run_experiment(config, replace(options, runs=tmp_path / "cut", resume=folder.name))
    assert again["scores"] == whole["scores"]
    assert not (folder / "generations.jsonl").exists()


def test_micro_batches_and_what_is_promised_of_the_bits_stand_in_the_result(
    toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = Algorithm.local_loss

    def limited(self: Algorithm, client: Any, batch: Any) -> Any:
        if len(batch.images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory (not really)")
        return loss(self, client, batch)

    monkeypatch.setattr(Algorithm, "local_loss", limited)
    config = toy_config("fedavg", "train.rounds=1")
    result = run_experiment(config, Options(quiet=True, runs=tmp_path, cache=toy_cache, track=False))
    assert {(event["kind"], event["size"]) for event in result["failures"]} == {("micro_batch", 4)}
    assert len({event["client"] for event in result["failures"]}) == len(result["failures"]) > 1
    assert result["provenance"]["determinism"]["bits"] == "exact"


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_says_how_to_go_on_and_leaves_nothing_running(times: int, toy_cache: Path, tmp_path: Path) -> None:
    child = start(tmp_path, toy_cache, "train.rounds=500", "engine.actors=2")
    run_id = wait_for_rounds(tmp_path, 1, child)
    for _ in range(times):
        os.kill(child.pid, signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said.splitlines()[-1] == f"fedmrg: interrupted; `fedmrg bench --resume {run_id}` continues it"
    assert "Traceback" not in said
    result = json.loads((tmp_path / run_id / "result.json").read_text())
    assert result["status"] == "interrupted"
    assert result["communication"]["per_round"]
    left = subprocess.run(["ps", "-e", "-o", "sid=,args="], capture_output=True, text=True, check=True).stdout
    assert not [line for line in left.splitlines() if line.split()[:1] == [str(child.pid)]], left


def test_a_folder_of_real_films_and_notes(notes_folder: Path, toy_cache: Path, tmp_path: Path) -> None:
    overrides = [*SMALL, f"data.path={notes_folder}", "on_bad=skip", "small=merge", "unseen=eurorad.org"]
    config = settings.load("fedmrg", split="manifest", overrides=overrides)
    result = run_experiment(config, Options(True, "", tmp_path / "runs", toy_cache, track=False))
    assert result["split"] == "manifest/notes"
    assert result["provenance"]["left_out"]["bad_empty_report"] == 104
    assert {"test/personal/bleu4", "unseen/global/ce_f1_micro14"} <= set(result["scores"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bench", "--algo", "fedmgr"], "fedmrg"),
        (["bench", "--set", "train.round=3"], "rounds"),
        (["bench", "--set", "rounds=many"], "whole number"),
        (["bench", "--set", "participation=0"], "above 0"),
        (["bench", "--split", "phantom/grup"], "phantom/group"),
        (["bench", "--resume", "nothing"], "nothing"),
        (["bench", "--resume", "nothing", "--rounds", "3"], "leave out --rounds"),
        (["bench", "--resume", "nothing", "--algo", "fedavg"], "leave out --algo"),
        (["bench", "--set", "tuning.kind=full"], "fedmrg takes lora"),
        (["bench", "--algo", "fedlora", "--set", "aggregation=SVD"], "svd"),
        (["bench", "--faults", "nowhere.toml"], "nowhere.toml: No such file"),
        (["bench", "--data", "/no/such/folder"], "/no/such/folder"),
        (["bench", "--data", "films", "--split", "phantom/ci"], "leave out --split, or --data"),
        (["bench", "--set", "lm=/no/model"], "lm=/no/model cannot be loaded"),
        (["bench", "--rounds", "x"], "--rounds"),
        (["bnch"], "bench"),
    ],
)
def test_refused_input_is_one_line_and_exit_code_2(arguments: list[str], said: str, capsys: Any) -> None:
    assert main(arguments) == 2
    *stages, line = capsys.readouterr().err.splitlines()
    assert [stage.split(":")[1].split()[0] for stage in stages] == (["run", "data"] if stages else [])
    assert line.startswith("fedmrg: ")
    assert said in line
