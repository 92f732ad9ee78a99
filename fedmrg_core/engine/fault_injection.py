"""A worker that injects the faults of a fault file."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

from fedmrg_core import tree
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.engine.messages import TrainReply, TrainTask
from fedmrg_core.engine.worker import Worker


class FaultyWorker(Worker):
    """A Worker that fails as `spec.faults` say for a client, round and attempt."""

    def train(self, task: TrainTask, broadcast: Packed, alloc: tree.Allocator = tree.alloc) -> TrainReply:
        due = {f.kind: f for f in self.spec.faults if f.hits(task.client_id, task.round, task.attempt)}
        if "kill_actor" in due:
            os.kill(os.getpid(), signal.SIGKILL)
        if "slow_client" in due:
            time.sleep(due["slow_client"].seconds)
        if "client_error" in due:
            raise RuntimeError("injected by the fault file")
        if "out_of_memory" in due:
            raise MemoryError("injected by the fault file")
        reply = super().train(task, broadcast, alloc)
        if "nonfinite_update" in due:
            reply = replace(reply, upload=_nonfinite(reply.upload, float(due["nonfinite_update"].value)))
        if "truncated_payload" in due:
            upload = reply.upload
            reply = replace(reply, upload=Packed(upload.header, upload.buffer[: upload.num_bytes // 2]))
        return reply


def _nonfinite(upload: Packed, value: float) -> Packed:
    """The upload with one element of its first floating tensor replaced."""
    payload = unpack(upload)
    tensors = [(group, name) for group in payload for name in payload[group]]
    group, name = next((g, n) for g, n in tensors if payload[g][n].is_floating_point())
    tensor = payload[group][name].clone()
    tensor.view(-1)[0] = value
    payload[group][name] = tensor
    return pack(payload)
