"""Running a suite: what is skipped, what fails, what is committed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmark.board import results
from benchmark.board.boards import boards
from benchmark.cli import main
from benchmark.commands import suite
from benchmark.run.options import BENCH_VERSION
from benchmark.suites import execute, plan
from benchmark.suites.execute import Outcome
from benchmark.suites.plan import Task
from benchmark.suites.processes import Processes
from fedmrg_core.errors import DataError, FedMRGError

TASK = Task("fedavg", "phantom/ci", 0, "tiny")


@pytest.fixture
def right(make_result):
    """The result that TASK would give."""
    return make_result("fedavg", config_hash=TASK.config().hash(), bench_version=BENCH_VERSION)


def commit(root, result):
    path = results.result_path(result, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(results.committed_text(result))
    return path


def test_only_the_same_configuration_and_version_counts_as_committed(tmp_path, right):
    def committed(**changes):
        commit(tmp_path, {**right, **changes})
        return execute.is_committed(TASK, tmp_path)

    assert not execute.is_committed(TASK, tmp_path)
    assert committed()
    assert not committed(config_hash="other")
    assert not committed(bench_version="0")
    assert not committed(status="failed")


def test_a_damaged_committed_result_is_named(tmp_path, right):
    commit(tmp_path, right).write_text("{")
    with pytest.raises(DataError, match=r"fedavg--s0\.json: is not a result"):
        execute.is_committed(TASK, tmp_path)


def test_a_finished_result_of_other_settings_is_not_replaced_silently(tmp_path, right):
    replaceable = ({}, {"config_hash": "other", "bench_version": "0"}, {"config_hash": "other", "status": "failed"})
    for changes in replaceable:
        commit(tmp_path, {**right, **changes})
        execute.refuse_to_replace([TASK], tmp_path)
    commit(tmp_path, {**right, "config_hash": "other"})
    with pytest.raises(FedMRGError, match=r"fedavg--s0\.json holds a result of other settings \(config hash other"):
        execute.refuse_to_replace([TASK], tmp_path)


def test_a_suite_with_overrides_replaces_no_result_of_its_preset(tmp_path, make_result):
    """Suites `ci` and `small` have the same split and preset with other settings."""
    execute.store(Outcome(TASK, "finished", result=make_result("fedavg", value=0.6)), tmp_path)
    own = Task("fedavg", "phantom/ci", 0, "tiny", ("train.rounds=3",))
    execute.refuse_to_replace([own], tmp_path)
    execute.store(Outcome(own, "finished", result=make_result("fedavg", value=0.1)), tmp_path)
    found = boards(results.load(tmp_path))
    assert [(board.overrides, board.rows[0].estimates["test/global/bleu4"].value) for board in found] == [
        ((), 0.6),
        (("train.rounds=3",), 0.1),
    ]


def test_no_two_shipped_suites_write_different_settings_to_one_file(tmp_path):
    hashes: dict[str, str] = {}
    for name in plan.suite_names():
        for task in plan.read(name):
            path = str(execute.committed_path(task, tmp_path))
            assert hashes.setdefault(path, task.config().hash()) == task.config().hash()


def test_results_of_a_clean_tree_are_committed_and_read_back(tmp_path, make_result):
    result = make_result("fedavg")
    outcome = execute.store(Outcome(TASK, "finished", result=result), tmp_path)
    assert outcome.status == "finished"
    (read,) = results.load(tmp_path)
    assert read == {**result, "scores": read["scores"]}
    assert read["scores"]["test/global/bleu4"]["high"] == pytest.approx(0.55)


def test_the_values_of_single_studies_are_committed_beside_a_result(tmp_path, make_result, monkeypatch):
    folders: list[Path] = []
    monkeypatch.setattr(execute, "commit_values", lambda result, run, root: folders.append(run))
    execute.store(Outcome(TASK, "finished", result=make_result("fedavg")), tmp_path, runs=tmp_path / "runs")
    assert folders == [tmp_path / "runs" / "20260101-fedavg-s0"]


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
    printed = {
        "fedprox": (1, "", "fedmrg: loss is not \x1b[31mfinite\n"),
        "fedavg": (0, json.dumps(make_result("fedavg")), ""),
        "fedlora": (0, "{", ""),
        "fedmrg": (0, json.dumps({**make_result(), "status": "won"}), ""),
    }

    def run(self, command, folder):
        return subprocess.CompletedProcess(command, *printed[command[command.index("--algo") + 1]])

    monkeypatch.setattr(Processes, "run", run)
    monkeypatch.setattr(execute, "store", lambda outcome: outcome)
    tasks = [Task(name, "phantom/ci", 0, "tiny") for name in printed]
    found = {outcome.task.algorithm: outcome for outcome in execute.run_all(tasks, jobs=2)}
    assert {name: outcome.status for name, outcome in found.items()} == {
        "fedprox": "failed",
        "fedavg": "finished",
        "fedlora": "failed",
        "fedmrg": "failed",
    }
    assert found["fedprox"].note == "fedmrg: loss is not ?[31mfinite"
    assert found["fedlora"].note.startswith("printed no result")


def test_a_failed_runs_result_is_that_of_its_own_settings(tmp_path, monkeypatch, make_result):
    monkeypatch.setattr(execute, "RUNS", tmp_path)
    failed = make_result("fedavg", status="failed", scores={}, config_hash=TASK.config().hash())
    for name, text in {
        "1-fedavg-a": json.dumps({**failed, "config_hash": "other"}),
        "2-fedavg-b": "{",
        "3-fedavg-c": json.dumps(failed),
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(text)
    assert execute._failed_result(TASK, since=0) == failed
    assert execute._failed_result(TASK, since=9e9) == {}


@pytest.mark.parametrize("jobs", ["0", "-1", "100000"])
def test_jobs_out_of_range_are_refused(capsys, jobs):
    assert main(["suite", "small", "--jobs", jobs]) == 2
    assert "--jobs" in capsys.readouterr().err


def test_an_interrupted_suite_says_so_in_one_line(monkeypatch, capsys):
    def interrupted(tasks, jobs):
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "run_all", interrupted)
    monkeypatch.setattr(suite, "refuse_to_replace", lambda tasks: None)  # whatever is committed here
    assert main(["suite", "small"]) == 130
    assert capsys.readouterr().err == (
        "fedmrg: interrupted; `fedmrg suite small` runs what has no committed result yet\n"
    )
