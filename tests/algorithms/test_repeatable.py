"""Every trained algorithm: two runs end in the same bits, and so does a run that is resumed between its rounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmrg_core.algorithms.registry import algorithms
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.rounds import params_sha256
from tests.toy import Run, same, toy_spec


@pytest.mark.parametrize("name", sorted(name for name, cls in algorithms().items() if cls.trains))
def test_two_runs_and_a_resume_end_in_the_same_bits(name: str, toy_cache: Path, tmp_path: Path) -> None:
    spec = toy_spec(toy_cache, name)
    whole = Run(spec)
    assert not whole.initial.params or not same(whole.initial, whole.server), "training moved nothing"
    half = Run(spec, stop=1)
    checkpoint.save(tmp_path, half.server, half.store)
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    resumed = Run(spec, start=loaded)
    assert params_sha256(resumed.server, resumed.store) == params_sha256(whole.server, whole.store)
