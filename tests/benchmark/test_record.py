"""What is finished stays finished, whatever happens while MLflow is fed."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.run import experiment
from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from benchmark.run.record import communication, history
from fedmrg_core.runfolder import RunFolder
from tests.toy import toy_config


class Interrupted:
    """A tracker that is interrupted while it waits for MLflow."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: None

    def finish(self, status: str) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return False


def test_a_kill_while_mlflow_is_fed_does_not_touch_the_result(
    toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiment, "Tracker", Interrupted)
    result = run_experiment(toy_config("constant"), Options(quiet=True, runs=tmp_path, cache=toy_cache))
    assert result["status"] == "finished"
    stored = json.loads((tmp_path / result["run_id"] / "result.json").read_text())
    assert stored["status"] == "finished"
    assert stored["scores"].keys() == result["scores"].keys() != set()
    assert f"`fedmrg sync {result['run_id']}`" in capsys.readouterr().err


def test_a_kill_while_the_result_is_written_waits_for_it(
    toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = RunFolder.write_result

    def killed(folder: RunFolder, result: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        write(folder, result)

    monkeypatch.setattr(RunFolder, "write_result", killed)
    options = Options(quiet=True, runs=tmp_path, cache=toy_cache, track=False)
    assert run_experiment(toy_config("constant"), options)["status"] == "finished"
    (path,) = tmp_path.glob("*/result.json")
    assert json.loads(path.read_text())["status"] == "finished"


def test_bytes_are_added_up_by_round_and_direction() -> None:
    sent = (("upload", "delta"), ("download", "shared"), ("upload", "prototype"))
    ledger = [{"round": n, "direction": d, "group": g, "bytes": 2 + n} for n in (0, 1) for d, g in sent]
    assert communication(ledger) == {
        "upload_bytes": 10,
        "download_bytes": 5,
        "by_group": {"upload": {"delta": 5, "prototype": 5}, "download": {"shared": 5}},
        "per_round": [
            {"round": 0, "upload_bytes": 4, "download_bytes": 2},
            {"round": 1, "upload_bytes": 6, "download_bytes": 3},
        ],
    }


def test_a_finished_run_is_not_run_again(toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it finished after this process had looked: then the lock was held by the other."""
    options = Options(quiet=True, runs=tmp_path, cache=toy_cache, track=False)
    result = run_experiment(toy_config("constant"), options)
    stored = (tmp_path / result["run_id"] / "result.json").read_bytes()
    monkeypatch.setattr(experiment, "_stages", lambda *given: pytest.fail("it was run again"))
    again = run_experiment(toy_config("constant"), replace(options, resume=result["run_id"]))
    assert again["params_sha256"] == result["params_sha256"]
    assert (tmp_path / result["run_id"] / "result.json").read_bytes() == stored


def test_a_result_has_the_numbers_of_each_round() -> None:
    rows = [
        {"round": at, "loss": 3.0 - at, "seconds": {"total": 2.0}, "updates": {"norm": {"lm": 0.25}}} for at in range(2)
    ]
    assert history(rows) == {"train_loss": [(1, 3.0), (2, 2.0)], "update_norm": [(1, 0.25), (2, 0.25)]}
