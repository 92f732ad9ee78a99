from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.errors import DataError


def state(number: int) -> tuple[ServerState, ClientStore]:
    store = ClientStore()
    store.put("h01", pack({"personal": {"s": torch.full((2,), float(number))}, "memory:c": {"w": torch.ones(3)}}))
    memory = {"prototypes": {"h01": torch.ones(4)}}
    return ServerState({"w": torch.full((3,), float(number))}, memory, round=number), store


def test_keeps_the_newest_and_gives_back_every_bit(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        checkpoint.save(tmp_path, *state(number), keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["round_00002", "round_00003"]
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0].round == 3
    assert params_sha256(*loaded) == params_sha256(*state(3))


def test_a_damaged_checkpoint_is_passed_over_and_all_damaged_is_an_error(tmp_path: Path) -> None:
    for number in (1, 2):
        path = checkpoint.save(tmp_path, *state(number))
    file = path / "server.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0].round == 1
    (tmp_path / "round_00001" / "server.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match="checksums differ"):
        checkpoint.load(tmp_path)


def test_a_write_that_was_cut_off_is_not_seen(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, *state(1))
    (tmp_path / ".round_00002.999").mkdir()
    (tmp_path / "round_00002").mkdir()  # no manifest: a crash between mkdir and rename of an older version
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0].round == 1
    assert checkpoint.load(tmp_path / "nothing") is None
