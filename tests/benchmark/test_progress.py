"""What a run says while it works: every stage, by lines without a terminal and by bars with one."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from benchmark.run import progress as module
from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from benchmark.run.progress import Progress
from benchmark.run.stages import load_base
from tests.toy import toy_config

CONSTANT = toy_config("constant")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_every_stage_is_one_line_where_there_is_no_terminal(
    toy_cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options, config = Options(runs=tmp_path, cache=toy_cache, track=False), toy_config("fedavg", "rounds=1")
    load_base(config, toy_cache)
    result = run_experiment(config, options)
    said = capfd.readouterr()
    assert said.out == ""
    lines = [line.removeprefix("fedmrg: ") for line in said.err.splitlines() if line.startswith("fedmrg: ")]
    begun = [line.split(":")[0].split(" ")[0] for line in lines]
    assert begun == ["run", "data", "data", "base", "workers", "training", "round", "generating", "batch", "scoring"]
    assert result["run_id"] in lines[0]
    assert lines[6].startswith("round 1 of 1, loss ")
    assert lines[6].endswith(", 0 s left")


def test_quiet_says_nothing(toy_cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_experiment(toy_config("constant"), Options(quiet=True, runs=tmp_path, cache=toy_cache, track=False))
    assert capfd.readouterr() == ("", "")


def test_steps_are_reported_every_ten_or_every_thirty_seconds(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress().steps("round", total=25, every=10) as steps:
        for done in range(1, 26):
            clock[0] += 31.0 if done == 4 else 1.0
            steps.at(done, note="loss 1.5")
    assert capsys.readouterr().err.splitlines() == [
        "fedmrg: round 4 of 25, loss 1.5, 3.0 min left",  # 34 s for 4 steps, 21 steps are left
        "fedmrg: round 10 of 25, loss 1.5, 1.0 min left",
        "fedmrg: round 20 of 25, loss 1.5, 12 s left",
        "fedmrg: round 25 of 25, loss 1.5, 0 s left",
    ]


def test_time_left_counts_only_steps_of_this_process(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress().steps("round", total=20, done=8, every=10) as steps:
        clock[0] = 4.0
        steps.at(10)
    assert capsys.readouterr().err == "fedmrg: round 10 of 20, 20 s left\n"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with Progress().steps("batch") as steps:
        steps.at(1, total=2)
        steps.at(2, total=2, note="loss 1.5")
    assert "fedmrg:" not in screen.getvalue()
    assert "2/2" in screen.getvalue()


def test_json_leaves_stdout_to_the_result(
    toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmark import cli
    from benchmark.commands import bench

    monkeypatch.setattr(bench.settings, "load", lambda *given, **named: CONSTANT)
    made = lambda **given: Options(**given, runs=tmp_path, cache=toy_cache, track=False)  # noqa: E731
    monkeypatch.setattr(bench, "Options", made)
    assert cli.main(["bench", "--algo", "constant", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["status"] == "finished"
    assert "fedmrg: scoring" in said.err
