"""Suites: what runs, what is skipped, what is kept."""

from __future__ import annotations

import json

import pytest

from benchmark.board import results
from benchmark.commands import suite
from benchmark.commands.suite import Outcome, Task
from benchmark.run import settings
from benchmark.run.options import BENCH_VERSION
from fedmrg_core.errors import ConfigError

TASK = Task("fedavg", "phantom/ci", 0, "tiny", ("train.rounds=2",))


@pytest.fixture
def suites(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "SUITES", tmp_path)
    return tmp_path


def test_a_suite_is_the_product_of_its_lists_and_of_its_further_parts(suites):
    (suites / "mine.toml").write_text(
        'algorithms = ["fedavg", "fedprox"]\nsplits = ["phantom/ci"]\nseeds = [0, 1]\npreset = "tiny"\n'
        '[[also]]\nalgorithms = ["fedmrg"]\nseeds = [0]\n'
    )
    names = [task.name for task in suite.read("mine")]
    assert names == [f"{a} phantom/ci s{s}" for a in ("fedavg", "fedprox") for s in (0, 1)] + ["fedmrg phantom/ci s0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('algorithms = ["fedavgg"]', "unknown algorithm 'fedavgg'. Did you mean 'fedavg'"),
        ('algorithm = ["fedavg"]', "unknown key of suite mine 'algorithm'. Did you mean 'algorithms'"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_runs(suites, content, message):
    (suites / "mine.toml").write_text(content + '\nsplits = ["phantom/ci"]\nseeds = [0]\npreset = "tiny"\n')
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        suite.read("mine")


def test_an_unknown_suite_is_refused(suites):
    with pytest.raises(ConfigError, match="unknown suite 'fantom'"):
        suite.read("fantom")


def test_only_the_same_configuration_and_version_counts_as_existing(tmp_path, make_result):
    path = results.result_path(make_result("fedavg"), tmp_path)
    path.parent.mkdir(parents=True)

    def stands(**changes):
        right = {"config_hash": TASK.config().hash(), "bench_version": BENCH_VERSION}
        path.write_text(json.dumps(make_result("fedavg", **{**right, **changes})))
        return suite.exists(TASK, tmp_path)

    assert stands()
    assert not stands(config_hash="other")
    assert not stands(bench_version="other")
    assert not stands(status="failed")
    path.unlink()
    assert not suite.exists(TASK, tmp_path)


def test_results_of_a_clean_tree_are_committed_and_read_back(tmp_path, make_result):
    result = make_result("fedavg")
    outcome = suite.keep(Outcome(TASK, "finished", result=result), tmp_path)
    assert outcome.how == "finished"
    (read,) = results.load(tmp_path)
    assert read == {**result, "scores": read["scores"]}
    assert read["scores"]["test/global/bleu4"]["high"] == pytest.approx(0.55)


def test_results_of_a_dirty_tree_stay_in_runs(tmp_path, make_result):
    result = make_result("fedavg")
    result["provenance"] = {**result["provenance"], "dirty": True}
    outcome = suite.keep(Outcome(TASK, "finished", result=result), tmp_path)
    assert (outcome.how, results.load(tmp_path)) == ("dirty", [])
    assert "uncommitted changes" in suite.table([outcome])


def test_a_failure_never_overwrites_a_finished_result(tmp_path, make_result):
    failed = make_result("fedavg", status="failed", scores={})
    suite.keep(Outcome(TASK, "failed", result=failed), tmp_path)
    assert [r["status"] for r in results.load(tmp_path)] == ["failed"]
    suite.keep(Outcome(TASK, "finished", result=make_result("fedavg")), tmp_path)
    suite.keep(Outcome(TASK, "failed", result=failed), tmp_path)
    assert [r["status"] for r in results.load(tmp_path)] == ["finished"]


def test_one_failing_process_stops_nothing_else(monkeypatch, make_result):
    def run(command, **_):
        broken = command[command.index("--algo") + 1] == "fedprox"
        text = json.dumps(make_result("fedavg")) if not broken else ""
        return suite.subprocess.CompletedProcess(command, int(broken), text, "fedmrg: loss is not finite\n")

    monkeypatch.setattr(suite.subprocess, "run", run)
    monkeypatch.setattr(suite, "keep", lambda outcome: outcome)
    tasks = [Task(name, "phantom/ci", 0, "tiny") for name in ("fedprox", "fedavg", "fedlora")]
    found = {outcome.task.algorithm: outcome for outcome in suite.run_all(tasks, jobs=2)}
    assert {name: outcome.how for name, outcome in found.items()} == {
        "fedprox": "failed",
        "fedavg": "finished",
        "fedlora": "finished",
    }
    assert found["fedprox"].note == "fedmrg: loss is not finite"


def test_a_stored_configuration_comes_back_whole():
    """`--resume` and `fedmrg sync` read it: the section [algorithm] must not hide the algorithm's name."""
    stored = json.loads(json.dumps(TASK.config().as_dict()))
    assert settings.from_dict(stored) == TASK.config()


def test_a_setting_that_is_newer_than_a_result_and_off_leaves_its_hash():
    stored = Task("fedmrg", "phantom/ci", 0, "tiny").config().as_dict()
    older = {**stored, "algorithm": {k: v for k, v in stored["algorithm"].items() if k != "guidance"}}
    assert settings.from_dict(older).hash() == settings.from_dict(stored).hash()
    assert Task("fedmrg-guided", "phantom/ci", 0, "tiny").config().hash() != settings.from_dict(stored).hash()


def test_every_shipped_suite_resolves():
    for name in suite.suite_names():
        assert suite.read(name)
    assert {"phantom", "ci"} <= set(suite.suite_names())
    assert settings.algorithm_names()
