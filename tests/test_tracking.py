"""MLflow's copy of a run: complete, entered once, and never in the way."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
import zlib
from dataclasses import replace

import pytest

from benchmark import cli
from benchmark.commands import sync
from benchmark.run import mirror, saved_views
from benchmark.run.headline import headlines, of_hospitals, of_round
from fedmrg_core import tracking
from fedmrg_core.errors import FedMRGError
from fedmrg_core.runfolder import RunFolder
from fedmrg_core.tracking import Dataset, Description, metric_name, tracker
from fedmrg_core.tracking.client import experiments
from fedmrg_core.tracking.store import Writer

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
    "provenance": {"git_sha": "abc", "dirty": False, "data_sha256": "d" * 64, "client_cpu_seconds": 12.5},
}
SCORES = {
    "test/personal/ce_f1_micro14": {"value": 0.61239, "low": 0.5, "high": 0.7, "n": 10},
    "test/global/ce_f1_micro14": {"value": 0.5, "n": 10},
    "unseen/global/ce_f1_micro14": {"value": 0.4, "n": 5},
    "test/personal/worst_ce_f1_micro14": {"value": 0.3, "n": 4},
    "test/personal/h|1/ce_f1_micro14": {"value": 0.25, "n": 4},
    "unseen/global/h06/ce_f1_micro14": {"value": 0.4, "n": 5},
    "test/personal/bleu1": {"value": 0.9, "n": 10},
}
NAME = "phantom-ci tiny"


def row(n):
    return {"round": n, "clients": ["h01"], "loss": 1.0 / (n + 1), "upload_bytes": 8, "seconds": {"total": 2.0}}


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A new sqlite store with its tables: making them takes seconds, so tests start from a copy."""
    folder = tmp_path_factory.mktemp("mlflow")
    first = tracking.Tracker(f"sqlite:///{folder / 'mlflow.db'}")
    first.start(Description("other", "elsewhere"))
    assert first.finish(), first.failure
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture
def uri(tmp_path, empty_store):
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture(autouse=True)
def _settings_are_usual(monkeypatch):
    """Without reading the configurations, which imports torch."""
    monkeypatch.setattr(mirror, "_usual_hash", lambda result: "")


def client_of(uri):
    from mlflow import MlflowClient

    return MlflowClient(uri)


def runs(uri, kind="run"):
    client = client_of(uri)
    experiment = client.get_experiment_by_name(NAME)
    return client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'")


def stored(uri):
    """(run, {(key, step): value}) of the run r1, seen by MLflow's own client."""
    (run,) = runs(uri)
    client = client_of(uri)
    history = [m for key in run.data.metrics for m in client.get_metric_history(run.info.run_id, key)]
    assert len({(m.key, m.step) for m in history}) == len(history), "a number was logged twice"
    return run, {(m.key, m.step): m.value for m in history}


def track(uri, rounds, resume=False, status="finished", run=RUN):
    mirrored = tracking.Tracker(uri)
    mirrored.start(mirror.describe(run), resume=resume)
    for n in rounds:
        mirrored.log_metrics(n, of_round(row(n)))
    assert mirrored.finish(status), mirrored.failure


def finished(tmp_path, **changes):
    """A finished run's folder, and its result."""
    folder = RunFolder(tmp_path / "runs" / str({**RUN, **changes}["run_id"]))
    for n in range(4):
        folder.append_round(row(n))
    result = {**RUN, "status": "finished", "scores": SCORES, "communication": {"upload_bytes": 2_500_000}, **changes}
    folder.write_result(result)
    return folder, result


def test_headlines_are_few_short_and_rounded():
    result = {**RUN, "scores": SCORES, "communication": {"upload_bytes": 2_500_000}}
    assert headlines(result) == {
        "ce_f1": 0.6124,
        "global_ce_f1": 0.5,
        "unseen_ce_f1": 0.4,
        "worst_ce_f1": 0.3,
        "upload_mb": 2.5,
        "cpu_s": 12.5,
    }
    assert of_hospitals(result) == {"h06": {"studies": 5, "ce_f1": 0.4}, "h|1": {"studies": 4, "ce_f1": 0.25}}
    assert of_round({**row(1), "val": {"val_nll": 1.5}}) == {"train_loss": 0.5, "round_s": 2.0, "val_nll": 1.5}
    validated = {key.replace("test/", "val/"): score for key, score in SCORES.items()}
    assert headlines({"scores": validated})["ce_f1"] == 0.6124


def test_a_run_arrives_with_its_names_numbers_note_data_and_files(uri, tmp_path, monkeypatch):
    folder, result = finished(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert sync.sync(folder.path) == (4, len(SCORES))
    run, numbers = stored(uri)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "fedmrg s0")
    assert run.data.params["train.lr"] == "0.1"
    wanted = {"run_id": "r1", "algorithm": "fedmrg", "group": "fedmrg", "seed": "0", "status": "finished", "git": "abc"}
    assert {key: run.data.tags[key] for key in wanted} == wanted
    assert run.data.tags["command"] == "fedmrg bench --algo fedmrg --split phantom/ci --preset tiny --seed 0"
    assert "| `ce_f1` | 0.6124 | 0.500 to 0.700 | CE F1 micro" in run.data.tags["mlflow.note.content"]
    assert "| h/1 | 4 | 0.25 |" in run.data.tags["mlflow.note.content"]
    assert [one.dataset.digest for one in run.inputs.dataset_inputs] == ["d" * 10]
    assert numbers == {
        **{("train_loss", n): 1.0 / (n + 1) for n in range(4)},
        **{("round_s", n): 2.0 for n in range(4)},
        **{(name, 4): value for name, value in headlines(result).items()},
    }
    files = {path.name for path in (tmp_path / "mlartifacts").rglob("*.*")}
    assert {"result.json", "rounds.jsonl", "curves.png", "hospitals.png"} <= files
    assert "samples.json" not in files, "its data cannot be had, so it is not known to be open"


def test_a_sync_repeats_nothing_and_hospitals_and_seeds_are_nested(uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    folder, _ = finished(tmp_path)
    for _ in range(2):
        sync.sync(folder.path)
    other = {**SCORES, "test/personal/ce_f1_micro14": {"value": 0.8, "n": 10}}
    sync.sync(finished(tmp_path, run_id="r2", seed=1, scores=other)[0].path)
    sync.sync(finished(tmp_path, run_id="r3", seed=1, scores=other)[0].path)  # the same seed again
    (group,), hospitals = runs(uri, "group"), runs(uri, "hospital")
    assert (group.info.run_name, group.data.metrics["seeds"]) == ("fedmrg", 2)
    assert group.data.metrics["ce_f1"] == pytest.approx((0.6124 + 0.8) / 2)
    assert {run.data.tags["mlflow.parentRunId"] for run in runs(uri)} == {group.info.run_id}
    first = next(run for run in runs(uri) if run.data.tags["run_id"] == "r1")
    own = [run for run in hospitals if run.data.tags["mlflow.parentRunId"] == first.info.run_id]
    assert sorted(run.info.run_name for run in own) == ["h06 fedmrg s0", "h|1 fedmrg s0"]


def test_a_saved_view_is_what_the_page_decodes(uri):
    track(uri, range(1))
    (found,) = [one for one in experiments(uri) if one.name == NAME]
    value = json.loads(found.tags["mlflow.sharedViewState.leaderboard"])
    assert {"name", "createdAt", "updatedAt", "state"} == set(value)
    head, _, packed = value["state"].partition(";")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert head == "deflate"
    assert state["selectedColumns"][0] == "metrics.`ce_f1`"
    shown = [chart for chart in state["compareRunCharts"] if not chart["deleted"]]
    assert len(shown) == 5
    assert {chart["metricSectionId"] for chart in shown} == {state["compareRunSections"][0]["uuid"]}
    assert "fedmrg ui" in found.tags["mlflow.note.content"]
    assert saved_views.link("http://a:1/", found.id).startswith(f"http://a:1/#/experiments/{found.id}/runs?workflow")


def test_the_ui_prints_links_and_becomes_the_server(uri, monkeypatch, capsys):
    track(uri, range(1))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    became = []
    monkeypatch.setattr(os, "execve", lambda program, command, environment: became.append(command))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.listen()
        assert cli.main(["ui", "--port", str(port)]) == 2
        assert f"port {port} of 127.0.0.1 is taken" in capsys.readouterr().err
    cli.main(["ui", "--port", str(port)])
    assert f"http://127.0.0.1:{port}/#/experiments/" in capsys.readouterr().out
    assert became[0][-6:] == ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:secret@127.0.0.1:1/none")
    assert cli.main(["ui"]) == 2
    assert "secret" not in "".join(capsys.readouterr())


def test_other_settings_are_another_group(monkeypatch):
    monkeypatch.setattr(mirror, "_usual_hash", lambda result: "1234abcd")
    assert mirror.variant({**RUN, "config_hash": "1234abcd"}) == "fedmrg"
    assert mirror.variant({**RUN, "config_hash": "ffff0000"}) == "fedmrg ffff"


def test_a_table_a_picture_and_a_model_are_entered_once(uri, tmp_path):
    import numpy as np

    def write(folder):
        (folder / "shared.safetensors").write_bytes(b"x")
        return True

    for resume in (False, True):
        mirrored = tracking.Tracker(uri)
        mirrored.start(replace(mirror.describe(RUN), datasets=[Dataset("d", "1", "data")]), resume=resume)
        columns = {"study": ["s1"], "text": ["clear"], "film": [np.zeros((4, 4), np.uint8)]}
        mirrored.log_table(lambda columns=columns: columns, "samples.json")
        mirrored.log_table(dict, "none.json")
        mirrored.log_model("m", write)
        assert mirrored.finish(), mirrored.failure
    (run,) = runs(uri)
    (table,) = (tmp_path / "mlartifacts").rglob("samples.json")
    assert [line[:2] for line in json.loads(table.read_text())["data"]] == [["s1", "clear"]]
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "samples.json", "type": "table"}]
    (model,) = client_of(uri).search_logged_models([run.info.experiment_id])
    assert (model.name, model.status.value) == ("m", "READY")


def test_a_resumed_run_re_enters_its_mlflow_run_and_repeats_nothing(uri):
    track(uri, range(3), status="interrupted")
    track(uri, range(1, 5), resume=True)
    run, numbers = stored(uri)
    assert run.info.status == "FINISHED"
    assert sorted(step for key, step in numbers if key == "train_loss") == [0, 1, 2, 3, 4]


def test_sync_takes_a_run_that_was_killed_before_its_result(uri, tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "runs" / "r1")
    (folder.path / "config.json").write_text(json.dumps(RUN["config"]))
    folder.append_round(row(0))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert sync.sync(folder.path) == (1, 0)
    (run,) = runs(uri)
    assert (run.info.status, run.data.tags["status"]) == ("KILLED", "interrupted")


def test_a_store_that_cannot_be_reached_costs_one_line(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    bad = f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}"
    mirrored = tracking.Tracker(bad)
    mirrored.start(mirror.describe(RUN))
    for n in range(3):
        mirrored.log_metrics(n, of_round(row(n)))
    assert mirrored.finish() is False
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
        def open(self, *given):
            time.sleep(5)

    monkeypatch.setattr(tracker, "_writer", lambda uri: Slow())
    mirrored = tracking.Tracker("sqlite:////nowhere/mlflow.db", patience=0.2)
    start = time.monotonic()
    mirrored.start(mirror.describe(RUN))
    for n in range(100):
        mirrored.log_metrics(n, of_round(row(n)))
    assert mirrored.finish() is False
    assert time.monotonic() - start < 3
    assert "no answer within 0.2 s" in capsys.readouterr().err


def test_any_name_makes_a_metric_and_distinct_names_stay_distinct(uri):
    names = ["..", ".", "", "h" * 230, "h" * 300, "h" * 299 + "i", "Klinik Ä", "Klinik Ö", "a/../b", "/a", "a=1", "a@1"]
    mirrored = tracking.Tracker(uri)
    mirrored.start(mirror.describe(RUN))
    mirrored.log_metrics(0, {metric_name(f"test/{name}/bleu4"): float(at) for at, name in enumerate(names)})
    mirrored.log_hospitals(0, {name: {"bleu4": float(at)} for at, name in enumerate(names)})
    assert mirrored.finish(), mirrored.failure
    assert sorted(stored(uri)[1].values()) == [float(at) for at in range(len(names))]
    assert len(runs(uri, "hospital")) == len(names)


def test_a_deleted_experiment_says_that_it_must_be_restored(uri, capsys):
    track(uri, range(1))
    client = client_of(uri)
    experiment = client.get_experiment_by_name(NAME).experiment_id
    client.delete_experiment(experiment)
    mirrored = tracking.Tracker(uri)
    mirrored.start(mirror.describe(RUN), resume=True)
    assert not mirrored.finish()
    (line,) = capsys.readouterr().err.splitlines()
    assert f"'{NAME}' (id {experiment}) is deleted; restore it there, then `fedmrg sync r1`" in line
    client.restore_experiment(experiment)
    track(uri, range(2), resume=True)


def test_a_deleted_run_is_entered_again(uri):
    writer = Writer(uri)
    writer.open(mirror.describe(RUN), resume=False)
    writer.client.delete_run(writer.run)
    with pytest.raises(Exception, match="active") as refused:
        writer.metrics(0, {"loss": 1.0})
    assert "deleted there" in tracker.explain(refused.value)[0]
    assert "`fedmrg sync {run}` enters it again" in tracker.explain(refused.value)[1]
    track(uri, range(2), resume=True)
    assert stored(uri)[0].info.status == "FINISHED"


def test_what_mlflow_refuses_for_good_is_said_to_be_beyond_repair(uri, capsys):
    mirrored = tracking.Tracker(uri)
    mirrored.start(Description("r1", "e" * 600))
    assert not mirrored.finish()
    (line,) = capsys.readouterr().err.splitlines()
    assert "`fedmrg sync` cannot repair that" in line


def test_a_full_queue_drops_instead_of_waiting(capsys):
    mirrored = tracking.Tracker("sqlite:////nowhere/mlflow.db", capacity=2)
    mirrored._run_id = "r1"
    for n in range(5):
        mirrored.log_metrics(n, of_round(row(n)))
    assert capsys.readouterr().err.count("slower than the run") == 1


def test_a_new_store_prints_nothing_and_several_processes_may_make_it_at_once(tmp_path):
    code = (
        "import sys; from fedmrg_core import tracking as t; x = t.Tracker(); "
        "x.start(t.Description(sys.argv[1], 'e', group='g')); x.log_metrics(0, {'loss': 1.0}); sys.exit(not x.finish())"
    )
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, f"r{n}"], env=env, stdout=-1, stderr=-1, text=True)
        for n in range(2)
    ]
    outputs = [job.communicate(timeout=120) for job in jobs]
    assert outputs == [("", "")] * 2
    assert [job.returncode for job in jobs] == [0, 0]


def test_the_default_store_lies_in_the_project_unless_the_variable_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking.default_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert tracking.default_uri(tmp_path) == "http://tracker:5000"
