"""Every planted change is caught, on the machine of the expectations and on others."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from benchmark.gate import golden
from benchmark.gate.compare import Move, compare, other_bases
from benchmark.gate.expectations import Measured, Numbers
from benchmark.gate.measure import Inputs, Trained, generate, numbers, score, train
from benchmark.gate.warm_up import measure_warm_up
from benchmark.run.settings import Config
from benchmark.suites import plan
from fedmrg_core.engine import base_key, warmup
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.hashes import code_sha256
from tests.gate.mutants import MUTANTS, Mutant, heavier_diagnosis

SHORT = ("train.local_steps=2", "run.clients=2", "evaluate.parts=val")
"""Beside the gate's own settings: a second a run."""
ROUNDING = 1e-6
"""Relative spread of every number between machines, about what the variants show."""


class Reference:
    """A run of the gate as it should be, and its numbers after each stage."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        self.config, self.inputs = config, inputs
        self.trained = train(config, inputs)

    @cached_property
    def frame(self) -> Any:
        return generate(self.trained)

    def measured(self, mutant: Mutant | None = None, stage: str = "score") -> Measured:
        """The numbers up to a stage; with a mutant, everything from its stage on is made again."""
        again = mutant.stage if mutant else ""
        run = train(self.config, self.inputs) if again == "train" else self.trained
        if stage == "train":
            return measured(early_numbers(run))
        frame = generate(run) if again == "generate" else self.frame
        return measured(numbers(run, frame, score(run, frame)))


def early_numbers(run: Trained) -> Numbers:
    bits = {"params_sha256": params_sha256(run.server, run.store)}
    return Numbers(run.trajectory.exact, bits, [], run.trajectory.values)


def measured(run: Numbers) -> Measured:
    spread = {key: ROUNDING * abs(value) for key, value in run.values.items()}
    facts = {"bench_version": "1", "suite": "gate", "git_sha": "a" * 40}
    return Measured(facts, {"model": "here"}, golden.labels(), {"run": replace(run, spread=spread)})


def clearly(move: Move) -> bool:
    """Whether a number left its tolerance so far that rounding as large as the tolerance could not bring it back."""
    numeric = isinstance(move.now, float) and isinstance(move.expected, float)
    return move.too_far and (not numeric or abs(move.now - move.expected) > 2 * (move.tolerance or 0.0))


@pytest.fixture(scope="module")
def reference(toy_cache: Path) -> Any:
    """algorithm -> its Reference."""
    inputs, known = Inputs(toy_cache), {}
    tasks = {task.algorithm: task for task in plan.read("gate")}

    def find(algorithm: str) -> Reference:
        if algorithm not in known:
            task = tasks[algorithm]
            config = replace(task, overrides=(*task.overrides, *SHORT)).config()
            known[algorithm] = Reference(config, inputs)
        return known[algorithm]

    return find


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_change_is_caught(name: str, reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = MUTANTS[name]
    stage = "train" if mutant.stage == "train" else "score"
    expected = reference(mutant.algorithm).measured(stage=stage)
    with monkeypatch.context() as patch:
        mutant.plant(patch)
        now = reference(mutant.algorithm).measured(mutant, stage)
    assert any(clearly(move) for move in compare(expected, now))
    elsewhere = compare(replace(expected, machine={"model": "elsewhere"}), now)
    assert any(clearly(move) for move in elsewhere) == mutant.elsewhere, elsewhere


def test_the_same_run_moves_nothing(reference: Any) -> None:
    one = reference("fedavg")
    assert compare(one.measured(), one.measured(Mutant("fedavg", "train", lambda patch: None))) == []


def test_a_tenfold_weight_in_the_warm_up_shows_in_its_steps(reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = reference("fedavg").config.model
    expected = measured(measure_warm_up(model, 0))
    heavier_diagnosis(monkeypatch)
    now = measured(measure_warm_up(model, 0))
    assert any(clearly(move) for move in compare(expected, now))
    assert any(clearly(move) for move in compare(replace(expected, machine={"model": "elsewhere"}), now))


def test_another_weight_in_the_warm_up_is_another_base(monkeypatch: pytest.MonkeyPatch, reference: Any) -> None:
    run = reference("fedavg")
    source = Path(str(warmup.__file__)).read_text()
    assert base_key.warmup_code() == code_sha256(source)
    heavier = code_sha256(source.replace("DX_WEIGHT = 4.0", "DX_WEIGHT = 40.0"))
    before = base_key.base_key(run.config.model, "corpus", 0)
    monkeypatch.setattr(base_key, "warmup_code", lambda: heavier)
    after = base_key.base_key(run.config.model, "corpus", 0)
    expected = replace(run.measured(), runs={"run": Numbers({"base_key": before}, {}, [], {})})
    assert other_bases(expected, {"run": before}) == []
    assert [(move.key, move.too_far) for move in other_bases(expected, {"run": after})] == [("base_key", True)]
