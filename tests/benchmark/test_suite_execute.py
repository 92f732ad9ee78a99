"""Running a suite: what is skipped, what fails, what is committed."""

from __future__ import annotations

import json

import pytest

from benchmark.board import results
from benchmark.commands import suite
from benchmark.run.options import BENCH_VERSION
from benchmark.suites import execute
from benchmark.suites.execute import Outcome
from benchmark.suites.plan import Task

TASK = Task("fedavg", "phantom/ci", 0, "tiny", ("train.rounds=2",))


def test_only_the_same_configuration_and_version_counts_as_existing(tmp_path, make_result):
    path = results.result_path(make_result("fedavg"), tmp_path)
    path.parent.mkdir(parents=True)

    def committed(**changes):
        right = {"config_hash": TASK.config().hash(), "bench_version": BENCH_VERSION}
        path.write_text(json.dumps(make_result("fedavg", **{**right, **changes})))
        return execute.is_committed(TASK, tmp_path)

    assert committed()
    assert not committed(config_hash="other")
    assert not committed(bench_version="other")
    assert not committed(status="failed")
    path.unlink()
    assert not execute.is_committed(TASK, tmp_path)


def test_results_of_a_clean_tree_are_committed_and_read_back(tmp_path, make_result):
    result = make_result("fedavg")
    outcome = execute.store(Outcome(TASK, "finished", result=result), tmp_path)
    assert outcome.status == "finished"
    (read,) = results.load(tmp_path)
    assert read == {**result, "scores": read["scores"]}
    assert read["scores"]["test/global/bleu4"]["high"] == pytest.approx(0.55)


def test_results_of_a_dirty_tree_stay_in_runs(tmp_path, make_result):
    result = make_result("fedavg")
    result["provenance"] = {**result["provenance"], "dirty": True}
    outcome = execute.store(Outcome(TASK, "finished", result=result), tmp_path)
    assert (outcome.status, results.load(tmp_path)) == ("dirty", [])
    assert "uncommitted changes" in suite.table([outcome])


def test_a_failure_never_overwrites_a_finished_result(tmp_path, make_result):
    failed = make_result("fedavg", status="failed", scores={})
    execute.store(Outcome(TASK, "failed", result=failed), tmp_path)
    assert [r["status"] for r in results.load(tmp_path)] == ["failed"]
    execute.store(Outcome(TASK, "finished", result=make_result("fedavg")), tmp_path)
    execute.store(Outcome(TASK, "failed", result=failed), tmp_path)
    assert [r["status"] for r in results.load(tmp_path)] == ["finished"]


def test_one_failing_process_stops_nothing_else(monkeypatch, make_result):
    def run(command, **_):
        broken = command[command.index("--algo") + 1] == "fedprox"
        text = json.dumps(make_result("fedavg")) if not broken else ""
        return execute.subprocess.CompletedProcess(command, int(broken), text, "fedmrg: loss is not finite\n")

    monkeypatch.setattr(execute.subprocess, "run", run)
    monkeypatch.setattr(execute, "store", lambda outcome: outcome)
    tasks = [Task(name, "phantom/ci", 0, "tiny") for name in ("fedprox", "fedavg", "fedlora")]
    found = {outcome.task.algorithm: outcome for outcome in execute.run_all(tasks, jobs=2)}
    assert {name: outcome.status for name, outcome in found.items()} == {
        "fedprox": "failed",
        "fedavg": "finished",
        "fedlora": "finished",
    }
    assert found["fedprox"].note == "fedmrg: loss is not finite"
