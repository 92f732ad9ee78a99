"""The whole gate, as `fedmrg regress` runs it: against the committed numbers, and against planted changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.commands.regress import SUITE
from benchmark.gate.compare import compare
from benchmark.gate.expectations import Measured, read
from benchmark.gate.measure import Inputs, measure, measure_suite
from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from benchmark.suites import plan
from fedmrg_core.paths import ROOT
from tests.gate.mutants import MUTANTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def expected() -> Measured:
    return read(ROOT / "leaderboards" / "expected" / f"{SUITE}.json")


@pytest.fixture(scope="module")
def plain(toy_cache: Path, expected: Measured) -> Measured:
    """The suite's numbers here, with the committed spread."""
    now = measure_suite(SUITE, Inputs(toy_cache))
    known = expected.runs
    runs = {name: replace(run, spread=known[name].spread, flips=known[name].flips) for name, run in now.runs.items()}
    return replace(now, runs=runs)


def far(expected: Measured, now: Measured) -> list[Any]:
    return [move for move in compare(expected, now) if move.too_far]


def test_the_committed_numbers_hold_here(expected: Measured, plain: Measured) -> None:
    assert far(expected, plain) == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_change_is_caught_in_both_modes(
    name: str, plain: Measured, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = MUTANTS[name]
    (task,) = [task for task in plan.read(SUITE) if task.algorithm == mutant.algorithm]
    one = replace(plain, runs={task.name: plain.runs[task.name]})
    mutant.plant(monkeypatch)
    now = replace(one, runs={task.name: measure(task.config(), Inputs(toy_cache))})
    assert far(one, now)
    assert bool(far(replace(one, machine={"model": "elsewhere"}), now)) == mutant.elsewhere


def test_the_gate_runs_what_a_run_runs(plain: Measured, toy_cache: Path, tmp_path: Path) -> None:
    """The command's own path, with its record, checkpoints and progress, ends in the same bits."""
    (task,) = [task for task in plan.read(SUITE) if task.algorithm == "fedmrg"]
    options = Options(quiet=True, track=False, runs=tmp_path, cache=toy_cache)
    result = run_experiment(task.config(), options)
    here = plain.runs[task.name]
    assert result["params_sha256"] == here.bits["params_sha256"]
    scores = {key: result["scores"][key]["value"] for key in here.values if key in result["scores"]}
    assert scores == {key: here.values[key] for key in scores}
    assert len(scores) > 100
