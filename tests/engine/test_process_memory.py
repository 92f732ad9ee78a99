"""The driver does not keep pages of the object store that it has read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.engine.memory import process as memory
from fedmrg_core.engine.memory.wire import pack, unpack


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which Linux has")
@pytest.mark.usefixtures("ray_running")
def test_the_driver_lets_go_of_pages_it_has_read_and_loses_nothing() -> None:
    import ray

    payload = ray.get(ray.put(pack({"a": {"w": torch.ones(2**20)}})))
    assert payload.buffer.sum(dtype="int64") > 0
    before = memory.shared_memory_bytes()
    memory.release_object_store_pages(limit=0)
    after = memory.shared_memory_bytes()
    assert before - after >= 2**22
    assert torch.equal(unpack(payload)["a"]["w"], torch.ones(2**20))
