"""Gradient checkpointing changes no bit, also with two adapters."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.models.tuning import AdapterSwitch
from tests.engine.one_step import Step, same
from tests.toy import Run, toy_spec


@pytest.mark.parametrize("algo", ["fedavg", "fedlora", "fedmrg"])
def test_gradient_checkpointing_changes_no_bit_of_a_gradient(algo: str, toy_cache: Path) -> None:
    plain = Step(toy_cache, algo).gradients()
    assert any(float(grad.abs().sum()) > 0 for name, grad in plain.items() if name.startswith("lm."))
    assert same(plain, Step(toy_cache, algo, "gradient_checkpointing=true").gradients())


def test_layers_are_computed_again_under_the_adapters_of_their_own_pass(
    toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: on the way back the other path is active, and torch repeats a layer under whatever is."""
    plain = Step(toy_cache, "fedmrg").gradients()
    monkeypatch.setattr(AdapterSwitch, "contexts", lambda self: (nullcontext(), nullcontext()))
    step = Step(toy_cache, "fedmrg", "gradient_checkpointing=true")
    try:
        wrong = step.gradients()
    except torch.utils.checkpoint.CheckpointError:
        return
    assert not same(plain, wrong)


def test_gradient_checkpointing_ends_in_the_same_bits(toy_cache: Path) -> None:
    runs = [Run(toy_spec(toy_cache, "fedmrg", *set_)) for set_ in ((), ("gradient_checkpointing=true",))]
    assert params_sha256(runs[0].server, runs[0].store) == params_sha256(runs[1].server, runs[1].store)
