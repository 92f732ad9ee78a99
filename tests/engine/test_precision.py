"""bf16 is near float32, repeats itself, and keeps parameters and personal paths apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.engine.rounds import params_sha256
from tests.engine.one_step import same
from tests.toy import Run, toy_spec


def test_bf16_is_near_float32_repeats_itself_and_keeps_parameters_in_float32(toy_cache: Path) -> None:
    spec = toy_spec(toy_cache, "fedmrg", "precision=bf16")
    half, again, full = Run(spec), Run(spec), Run(toy_spec(toy_cache, "fedmrg"))
    assert params_sha256(half.server, half.store) == params_sha256(again.server, again.store)
    assert params_sha256(half.server, half.store) != params_sha256(full.server, full.store)
    assert {tensor.dtype for tensor in half.server.params.values()} == {torch.float32}
    assert half.logs[0].row["loss"] == pytest.approx(full.logs[0].row["loss"], rel=0.02)


def test_under_bf16_the_specialised_path_still_moves_nothing_that_is_shared(toy_cache: Path) -> None:
    """Autocast keeps the bf16 copies of weights it has made: none of them may carry a gradient to sg[g]."""
    off = {"kd_l2g": 0.0, "kd_g2l": 0.0}
    runs = [Run(toy_spec(toy_cache, "fedmrg", "precision=bf16", specialised=on, **off)) for on in (True, False)]
    assert same(runs[0].server.params, runs[1].server.params)
