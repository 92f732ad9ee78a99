"""MLflow's copy of a run: complete, entered once, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from benchmark.commands import sync
from fedmrg_core import tracking
from fedmrg_core.errors import FedMRGError
from fedmrg_core.runfolder import RunFolder

RUN = {
    "run_id": "r1",
    "algorithm": "fedmrg",
    "split": "phantom/ci",
    "preset": "tiny",
    "seed": 0,
    "config": {
        "name": "fedmrg",
        "run": {"split": "phantom/ci", "preset": "tiny", "seed": 0},
        "train": {"lr": 0.1},
    },
    "provenance": {"git_sha": "abc", "dirty": False},
}


def row(n):
    return {"round": n, "clients": ["h01"], "loss": 1.0 / (n + 1), "upload_bytes": 8, "seconds": {"total": 2.0}}


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A new sqlite store with its tables: making them takes seconds, so tests start from a copy."""
    folder = tmp_path_factory.mktemp("mlflow")
    tracker = tracking.Tracker(f"sqlite:///{folder / 'mlflow.db'}")
    tracker.start("other", "elsewhere", {}, {})
    assert tracker.finish(), tracker.failure
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture
def uri(tmp_path, empty_store):
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def stored(uri):
    """(run, {(key, step): number of entries}) of the run r1, seen by MLflow's own client."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("phantom/ci tiny")
    (run,) = client.search_runs([experiment.experiment_id])
    history = [m for key in run.data.metrics for m in client.get_metric_history(run.info.run_id, key)]
    assert len({(m.key, m.step) for m in history}) == len(history), "a number was logged twice"
    return run, {(m.key, m.step): m.value for m in history}


def track(uri, rounds, resume=False, status="finished"):
    tracker = tracking.Tracker(uri)
    tracker.start(**tracking.describe(RUN), resume=resume)
    for n in rounds:
        tracker.log_round(n, row(n))
    assert tracker.finish(status), tracker.failure


def test_a_run_arrives_with_params_tags_rounds_scores_and_files(uri, tmp_path):
    (tmp_path / "result.json").write_text("{}")
    tracker = tracking.Tracker(uri)
    tracker.start(**tracking.describe(RUN))
    tracker.log_round(0, row(0))
    tracker.log_scores(1, {"test/personal/h03/bleu4": {"value": 0.25}, "f1@k=5": 0.5, "absent": {"value": None}})
    tracker.log_artifacts([tmp_path / "result.json", tmp_path / "not there"])
    assert tracker.finish(), tracker.failure
    run, numbers = stored(uri)
    assert run.info.status == "FINISHED"
    assert run.data.params["train.lr"] == "0.1"
    assert {key: run.data.tags[key] for key in ("run_id", "algorithm", "git_sha")} == {
        "run_id": "r1",
        "algorithm": "fedmrg",
        "git_sha": "abc",
    }
    assert numbers == {
        ("loss", 0): 1.0,
        ("upload_bytes", 0): 8,
        ("seconds/total", 0): 2.0,
        ("test/personal/h03/bleu4", 1): 0.25,
        (tracking.metric_name("f1@k=5"), 1): 0.5,
    }
    assert [path.name for path in (tmp_path / "mlartifacts").rglob("*.json")] == ["result.json"]


def test_a_resumed_run_re_enters_its_mlflow_run_and_repeats_nothing(uri):
    track(uri, range(3), status="interrupted")
    track(uri, range(1, 5), resume=True)
    run, numbers = stored(uri)
    assert run.info.status == "FINISHED"
    assert sorted(step for key, step in numbers if key == "loss") == [0, 1, 2, 3, 4]


def test_sync_completes_what_mlflow_missed(uri, tmp_path, monkeypatch):
    track(uri, range(2), status="failed")
    folder = RunFolder(tmp_path / "runs" / "r1")
    for n in range(4):
        folder.append_round(row(n))
    folder.write_result({**RUN, "status": "finished", "scores": {"test/global/bleu4": {"value": 0.5}}})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert sync.sync(folder.path) == (4, 1)
    run, numbers = stored(uri)
    assert run.info.status == "FINISHED"
    assert sorted(step for key, step in numbers if key == "loss") == [0, 1, 2, 3]
    assert numbers["test/global/bleu4", 4] == 0.5


def test_sync_takes_a_run_that_was_killed_before_its_result(uri, tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "runs" / "r1")
    (folder.path / "config.json").write_text(json.dumps(RUN["config"]))
    folder.append_round(row(0))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert sync.sync(folder.path) == (1, 0)
    assert stored(uri)[0].info.status == "KILLED"


def test_a_store_that_cannot_be_reached_costs_one_line(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    bad = f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}"
    tracker = tracking.Tracker(bad)
    tracker.start(**tracking.describe(RUN))
    for n in range(3):
        tracker.log_round(n, row(n))
    assert tracker.finish() is False
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "fedmrg sync r1" in lines[0]
    folder = RunFolder(tmp_path / "runs" / "r1")
    folder.write_result({**RUN, "status": "finished"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", bad)
    with pytest.raises(FedMRGError, match="r1 is not in MLflow"):
        sync.sync(folder.path)


def test_a_slow_store_delays_no_round_and_the_end_by_no_more_than_its_patience(capsys, monkeypatch):
    class Slow:
        def __init__(self, uri):
            self.uri = uri

        def open(self, *given):
            time.sleep(5)

    monkeypatch.setattr(tracking, "_Writer", Slow)
    tracker = tracking.Tracker("sqlite:////nowhere/mlflow.db", patience=0.2)
    start = time.monotonic()
    tracker.start(**tracking.describe(RUN))
    for n in range(100):
        tracker.log_round(n, row(n))
    assert tracker.finish() is False
    assert time.monotonic() - start < 3
    assert "no answer within 0.2 s" in capsys.readouterr().err


def test_any_hospitals_name_makes_a_metric_and_distinct_names_stay_distinct(uri):
    names = ["..", ".", "", "h" * 230, "h" * 300, "h" * 299 + "i", "Klinik Ä", "Klinik Ö", "a/../b", "/a", "a=1", "a@1"]
    tracker = tracking.Tracker(uri)
    tracker.start(**tracking.describe(RUN))
    tracker.log_scores(0, {f"test/personal/{name}/bleu4": {"value": float(at)} for at, name in enumerate(names)})
    assert tracker.finish(), tracker.failure
    assert sorted(stored(uri)[1].values()) == [float(at) for at in range(len(names))]


def test_a_deleted_experiment_says_that_it_must_be_restored(uri, capsys):
    from mlflow import MlflowClient

    track(uri, range(1))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("phantom/ci tiny").experiment_id
    client.delete_experiment(experiment)
    tracker = tracking.Tracker(uri)
    tracker.start(**tracking.describe(RUN), resume=True)
    assert not tracker.finish()
    (line,) = capsys.readouterr().err.splitlines()
    assert f"'phantom/ci tiny' (id {experiment}) is deleted; restore it there, then `fedmrg sync r1`" in line
    client.restore_experiment(experiment)
    track(uri, range(2), resume=True)


def test_a_deleted_run_is_entered_again(uri):
    writer = tracking._Writer(uri)
    writer.open(**tracking.describe(RUN), resume=False)
    writer.client.delete_run(writer.run)
    with pytest.raises(Exception, match="active") as refused:
        writer.metrics(0, {"loss": 1.0})
    assert "deleted there" in tracking.explain(refused.value)[0]
    assert "`fedmrg sync {run}` enters it again" in tracking.explain(refused.value)[1]
    track(uri, range(2), resume=True)
    assert stored(uri)[0].info.status == "FINISHED"


def test_what_mlflow_refuses_for_good_is_said_to_be_beyond_repair(uri, capsys):
    tracker = tracking.Tracker(uri)
    tracker.start("r1", "e" * 600, {}, {})
    assert not tracker.finish()
    (line,) = capsys.readouterr().err.splitlines()
    assert "`fedmrg sync` cannot repair that" in line


def test_a_full_queue_drops_instead_of_waiting(capsys):
    tracker = tracking.Tracker("sqlite:////nowhere/mlflow.db", capacity=2)
    tracker._run_id = "r1"
    for n in range(5):
        tracker.log_round(n, row(n))
    assert capsys.readouterr().err.count("slower than the run") == 1


def test_a_new_store_prints_nothing_and_several_processes_may_make_it_at_once(tmp_path):
    code = (
        "import sys; from fedmrg_core import tracking as t; x = t.Tracker(); "
        "x.start(sys.argv[1], 'e', {}, {}); x.log_round(0, {'loss': 1.0}); sys.exit(not x.finish())"
    )
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, f"r{n}"], env=env, stdout=-1, stderr=-1, text=True)
        for n in range(3)
    ]
    outputs = [job.communicate(timeout=120) for job in jobs]
    assert outputs == [("", "")] * 3
    assert [job.returncode for job in jobs] == [0, 0, 0]


def test_the_default_store_lies_in_the_project_unless_the_variable_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking.default_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert tracking.default_uri(tmp_path) == "http://tracker:5000"
