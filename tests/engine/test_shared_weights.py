"""Frozen parameters in memory that processes share: the same bits, and no writes of other processes."""

from __future__ import annotations

import gc
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from fedmrg_core import tree
from fedmrg_core.engine.memory.shared_weights import MIN_SHARED_BYTES, SharedWeights
from fedmrg_core.engine.pool import Call
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.rounds import params_sha256
from tests.toy import TWO_ACTORS, Run, toy_spec


def model(value: float = 1.0) -> nn.Module:
    built = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 7), nn.Linear(7, 2))
    with torch.no_grad():
        for number, parameter in enumerate(built.parameters()):
            parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape) + value + number)
    return built


def shared(built: nn.Module, folder: Path, moving: str = "2.") -> int:
    moved = {name: p for name, p in built.named_parameters() if name.startswith(moving)}
    return SharedWeights(folder, 1).share(built, moved)


def mapped(file: Path) -> int:
    """How often this process has the file mapped."""
    return Path("/proc/self/maps").read_text().count(str(file))


def test_the_values_stay_the_alignment_too_and_writes_are_ones_own(tmp_path: Path) -> None:
    one, other, untouched = model(), model(), model()
    sizes = [shared(built, tmp_path) for built in (one, other)]
    assert sizes == [4 * (15 + 3 + 21 + 7)] * 2
    (file,) = tmp_path.glob("frozen-*.pages")
    before = file.read_bytes()
    for name, parameter in one.named_parameters():
        assert parameter.equal(untouched.get_parameter(name)), name
        assert parameter.data_ptr() % tree.ALIGN == 0
        assert parameter.stride() == untouched.get_parameter(name).stride()
    with torch.no_grad():
        one.get_parameter("0.weight").zero_()
        one.get_parameter("2.weight").zero_()
    for name in ("0.weight", "2.weight"):
        assert other.get_parameter(name).equal(untouched.get_parameter(name))
    assert file.read_bytes() == before
    if Path("/proc/self/maps").exists():
        assert mapped(file) >= 2
        del one, other
        gc.collect()
        assert mapped(file) == 0


def test_a_file_with_other_bytes_is_never_used_and_written_anew(tmp_path: Path) -> None:
    first = model()
    shared(first, tmp_path)
    (file,) = tmp_path.glob("frozen-*.pages")
    for damaged in (file.read_bytes()[:-64], bytes(file.stat().st_size), b""):
        file.unlink()
        file.write_bytes(damaged)
        assert shared(model(), tmp_path) > 0
    second, wanted = model(9.0), model(9.0)
    assert shared(second, tmp_path) > 0
    assert all(p.equal(wanted.get_parameter(name)) for name, p in second.named_parameters())
    assert all(p.equal(model().get_parameter(name)) for name, p in first.named_parameters()), "a former file's pages"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(os.name != "posix", reason="paths of another kind")
def test_where_nothing_can_be_shared_a_process_has_its_own_copy(tmp_path: Path) -> None:
    assert shared(model(), tmp_path, moving="") == 0, "all of it moves"
    assert SharedWeights(tmp_path, 10**6).share(model(), {}) == 0, "too little"
    nowhere = tmp_path / "file" / "folder"
    nowhere.parent.write_text("in the way")
    with SharedWeights(nowhere, 1) as frozen:
        assert frozen.share(model(), {}) == 0
    meta = nn.Linear(5, 3, device="meta")
    assert SharedWeights(tmp_path, 1).share(meta, {}) == 0, "not on the CPU"


@pytest.mark.parametrize("algo", ["fedavg", "fedlora", "fedmrg"])
def test_shared_or_not_the_bits_are_the_same(algo: str, toy_cache: Path) -> None:
    plain = toy_spec(toy_cache, algo)
    assert plain.min_shared_bytes == MIN_SHARED_BYTES
    own, shared = Run(plain), Run(replace(plain, min_shared_bytes=1))
    assert own.worker.shared_bytes == 0
    frozen = {n: p for n, p in shared.worker.model.named_parameters() if n not in shared.worker.initial}
    assert shared.worker.shared_bytes == tree.num_bytes(frozen) > 0
    assert params_sha256(own.server, own.store) == params_sha256(shared.server, shared.store)


@pytest.mark.usefixtures("ray_running")
def test_actors_share_too_and_change_no_bit(toy_cache: Path) -> None:
    spec = replace(toy_spec(toy_cache, "fedlora"), min_shared_bytes=1)
    serial = Run(spec)
    with closing(RayPool(spec, TWO_ACTORS)) as pool:
        run = Run(spec, pool)
        facts = list(pool.map([Call("facts", None, None, "an actor")] * 8))
    assert params_sha256(run.server, run.store) == params_sha256(serial.server, serial.store)
    assert {fact["shared_bytes"] for fact in facts} == {serial.worker.shared_bytes}
