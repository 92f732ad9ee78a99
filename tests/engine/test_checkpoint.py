"""Checkpoints keep every bit of every client, whatever its name, and a damaged one is never used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.errors import DataError
from fedmrg_core.hashes import file_sha256, sealed

ODD_NAMES = ("h01", "..", "../../etc/passwd", "a/b", "Klinik Ä", "n" * 300, "tab\tline\nquote\"'", "", "c.safetensors")


def state(number: int, *clients: str) -> tuple[ServerState, ClientStore]:
    store = ClientStore()
    for at, client in enumerate(clients or ("h01",)):
        values = {"s": torch.full((2,), float(number + at))}
        store.put(client, pack({"personal": values, "memory:c": {"w": torch.ones(3)}}))
        store.put_last_update(client, pack({"delta": {"w": torch.full((3,), float(at))}}))
    memory = {"prototypes": {"h01": torch.ones(4)}}
    return ServerState({"w": torch.full((3,), float(number))}, memory, round=number), store


def rounds(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def flip(file: Path, position: int) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(bytes(data))


def test_keeps_the_newest_and_gives_back_every_bit(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        checkpoint.save(tmp_path, *state(number), keep=2)
    assert rounds(tmp_path) == ["round_00002", "round_00003"]
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0].round == 3
    assert params_sha256(*loaded) == params_sha256(*state(3))
    assert loaded[1].last_update("h01").buffer.tobytes() == state(3)[1].last_update("h01").buffer.tobytes()


@pytest.mark.parametrize("keep", [1, 0, -1, -5])
def test_the_newest_is_always_kept(tmp_path: Path, keep: int) -> None:
    for number in (99_999, 100_000):
        checkpoint.save(tmp_path, *state(number), keep=keep)
    assert rounds(tmp_path) == ["round_100000"]
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0].round == 100_000


def test_any_client_id_is_stored_inside_the_folder_under_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    given = state(1, *ODD_NAMES)
    path = checkpoint.save(folder, *given)
    assert rounds(tmp_path) == ["run"]
    assert len(rounds(path)) == 2 + 2 * len(ODD_NAMES)
    loaded = checkpoint.load(folder)
    assert loaded is not None
    assert loaded[1].clients() == loaded[1].clients_with_update() == sorted(ODD_NAMES)
    assert params_sha256(*loaded) == params_sha256(*given)


def test_a_damaged_checkpoint_is_skipped_and_only_damaged_ones_are_an_error(tmp_path: Path) -> None:
    for number in (1, 2):
        path = checkpoint.save(tmp_path, *state(number))
    flip(path / "server.safetensors", -1)
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0].round == 1
    (tmp_path / "round_00001" / "server.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match=r"round_00002/server.safetensors: .*not the file that was written") as caught:
        checkpoint.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_every_changed_byte_of_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, *state(1))
    for file in path.iterdir():
        whole = file.read_bytes()
        for position in range(0, len(whole), 7):
            flip(file, position)
            with pytest.raises(DataError):
                checkpoint.load(tmp_path)
            file.write_bytes(whole)


@pytest.mark.parametrize("content", ["", "[]", "null", "3", "{", "{}", '{"self": 1}', "[" * 100_000, "\udcff"])
def test_a_manifest_that_is_none_is_one_line(tmp_path: Path, content: str) -> None:
    path = checkpoint.save(tmp_path, *state(1))
    (path / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"round_00001/manifest\.json") as caught:
        checkpoint.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_safetensors_header_that_lies_is_one_line(tmp_path: Path) -> None:
    """Its checksum holds: whoever wrote the manifest wrote this too."""
    path = checkpoint.save(tmp_path, *state(1))
    file = path / "server.safetensors"
    file.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["self"]
    manifest["sha256"][file.name] = file_sha256(file)
    (path / "manifest.json").write_text(json.dumps(sealed(manifest)))
    with pytest.raises(DataError, match=r"round_00001/server\.safetensors: cannot be read") as caught:
        checkpoint.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_write_that_was_interrupted_is_ignored(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, *state(1))
    (tmp_path / ".round_00002.999").mkdir()
    (tmp_path / "round_00002").mkdir()
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0].round == 1
    assert checkpoint.load(tmp_path / "nothing") is None
