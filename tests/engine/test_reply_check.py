"""A reply that is not what the server asked for is its client's failure: nothing of it is stored, counted or summed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, Client
from fedmrg_core.codec import Codec, Int4, Int8, LowRank
from fedmrg_core.engine.failures import Policy
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.engine.messages import GenerateReply, TrainReply, TrainTask
from fedmrg_core.engine.pool import ClientError
from fedmrg_core.engine.reply_check import check_generation
from fedmrg_core.types import Payload
from tests.stub import E, StubRun, StubWorker, W

LIAR = "h02"
Lie = Callable[[TrainReply], Any]


@dataclass(frozen=True)
class Own(Algorithm):
    """FedAvg whose vector e stays at home, so that there is a private state to spoil."""

    def is_shared(self, name: str) -> bool:
        return name != E


def lying(lie: Lie) -> type[StubWorker]:
    """A worker whose replies for one client in the second round are not what it was asked for."""

    class Liar(StubWorker):
        def train(self, task: TrainTask, broadcast: Packed, alloc: tree.Allocator = tree.alloc) -> Any:
            reply = super().train(task, broadcast, alloc)
            return lie(reply) if (task.client_id, task.round) == (LIAR, 1) else reply

    return Liar


def upload(change: Callable[[Payload], Any]) -> Lie:
    """A lie about the upload's tensors."""

    def lie(reply: TrainReply) -> TrainReply:
        payload = {group: dict(state) for group, state in unpack(reply.upload).items()}
        return replace(reply, upload=pack(change(payload) or payload))

    return lie


def header(change: Callable[[tuple[Any, ...]], Any]) -> Lie:
    """A lie in the upload's header."""
    return lambda reply: replace(reply, upload=Packed((change(reply.upload.header[0]),), reply.upload.buffer))


def private(payload: Payload) -> Lie:
    return lambda reply: replace(reply, private=pack(payload))


LIES: dict[str, tuple[Lie, str, str]] = {
    "another client's name": (lambda r: replace(r, client_id="h01"), "wrong_client", "names the client 'h01'"),
    "no reply at all": (lambda r: None, "wrong_payload", "replied with NoneType"),
    "weight 1e12": (lambda r: replace(r, weight=1e12), "wrong_weight", "weight of 1000000000000.0, but has 2 studies"),
    "negative weight": (lambda r: replace(r, weight=-2.0), "wrong_weight", "claims a weight of -2.0"),
    "weight nan": (lambda r: replace(r, weight=float("nan")), "wrong_weight", "claims a weight of nan"),
    "loss nan": (lambda r: replace(r, losses={"loss": float("nan")}), "wrong_payload", "'loss' is not a finite number"),
    "loss named as a field": (lambda r: replace(r, losses={"round": 1.0}), "wrong_payload", "'round' cannot be"),
    "loss named as a path": (lambda r: replace(r, losses={"\x1b[2J": 1.0}), "wrong_payload", "'?[2J' cannot be"),
    "no losses": (lambda r: replace(r, losses=None), "wrong_payload", "'None' cannot be"),
    "another's event": (
        lambda r: replace(r, events=({"kind": "x", "client": "h01"},)), "wrong_payload", "plain facts about itself"
    ),
    "steps of text": (lambda r: replace(r, steps="many"), "wrong_payload", "not finite numbers"),
    "missing group": (upload(lambda p: {"other": p["delta"]}), "wrong_payload", "group 'delta' is missing"),
    "extra group": (upload(lambda p: {**p, "x": {"y": torch.zeros(1)}}), "wrong_payload", "x 'y' was not asked for"),
    "extra tensor": (upload(lambda p: p["delta"].update(v=torch.zeros(1))), "wrong_payload", "delta 'v' was not asked"),
    "missing tensor": (upload(lambda p: {"delta": {}}), "wrong_payload", "group 'delta' is missing"),
    "int64": (upload(lambda p: p["delta"].update({W: p["delta"][W].long()})), "wrong_payload", "int64 [3, 2], not f"),
    "wrong shape": (upload(lambda p: p["delta"].update({W: torch.zeros(2, 3)})), "wrong_payload", "[2, 3], not float"),
    "nan": (upload(lambda p: p["delta"].update({W: torch.full((3, 2), float("nan"))})), "nonfinite_update", "is not"),
    "unknown dtype": (header(lambda h: (*h[:2], "load", *h[3:])), "wrong_payload", "no readable header"),
    "negative offset": (header(lambda h: (*h[:4], -64)), "wrong_payload", "no readable header"),
    "offset that is no whole number": (header(lambda h: (*h[:4], 0.0)), "wrong_payload", "payload cannot be read"),
    "upload of text": (lambda r: replace(r, upload="delta"), "wrong_payload", "is no payload"),
    "short header": (header(lambda h: h[:3]), "wrong_payload", "no readable header"),
    "truncated": (
        lambda r: replace(r, upload=Packed(r.upload.header, r.upload.buffer[:8])), "truncated_payload", "bytes arrived"
    ),
    "private state of another shape": (private({"personal": {E: torch.zeros(9)}}), "wrong_payload", "not float32 [2]"),
    "private state gone": (private({}), "wrong_payload", "group 'personal' is missing"),
    "private state nan": (
        private({"personal": {E: torch.tensor([0.0, float("inf")])}}), "nonfinite_update", "personal 'encoder.weight'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_breach_is_that_clients_failure_and_leaves_nothing_behind(name: str) -> None:
    lie, kind, words = LIES[name]
    run = StubRun(Own(), policy=Policy(on_failure="drop"), worker_class=lying(lie))
    (failure,) = run.logs[1].row["failures"]
    assert (failure["kind"], failure["client"], failure["policy"]) == (kind, LIAR, "drop")
    assert words in failure["message"]
    assert run.logs[1].row["accepted"] == ["h01", "h03"]
    before = StubRun(Own(), {"rounds": 1})
    assert run.store.get(LIAR).buffer.tobytes() == before.store.get(LIAR).buffer.tobytes()
    honest = StubRun(Own(), policy=Policy(on_failure="drop"), worker_class=lying(_fail))
    assert run.server.params[W].equal(honest.server.params[W])
    assert all(run.private(client)[g][n].equal(t) for client in ("h01", "h03")
               for g, state in honest.private(client).items() for n, t in state.items())  # fmt: skip


def _fail(reply: TrainReply) -> Any:
    raise RuntimeError("honestly failed")


def test_under_the_policy_fail_a_breach_ends_the_run_in_one_line() -> None:
    with pytest.raises(ClientError, match=r"^client h02, round 1: group 'delta' is missing$"):
        StubRun(Own(), worker_class=lying(LIES["missing group"][0]))


@pytest.mark.parametrize("codec", [Codec(), LowRank(rank=1), Int8(), Int4()])
def test_a_layout_is_what_the_codec_sends(codec: Codec) -> None:
    shapes = {"a.weight": (24, 40), "b.weight": (16, 8, 3, 3), "c.bias": (24,), "d.bias": (4,), "e.running_var": (9,)}
    delta = {name: torch.randn(shape) for name, shape in shapes.items()}
    sent, expected = codec.encode(delta, {})[0], codec.layout(delta)
    assert {n: (t.shape, t.dtype) for n, t in sent.items()} == {n: (t.shape, t.dtype) for n, t in expected.items()}


def test_a_coded_delta_that_cannot_be_decoded_is_a_breach() -> None:
    points = {name: [(1.0, 2.0)] * 2 for name in ("h01", LIAR)}
    spoil = upload(lambda p: p["delta"].update({f"{W}//shape": torch.tensor([7, 7], dtype=torch.int32)}))
    run = StubRun(
        Algorithm(codec=Int4()), points=points, policy=Policy(on_failure="drop"), worker_class=lying(spoil),
        start={W: [[0.0, 0.0]] * 5},
    )  # fmt: skip
    (failure,) = run.logs[1].row["failures"]
    assert failure["kind"] == "wrong_payload"
    assert "cannot be decoded" in failure["message"]


@dataclass(frozen=True)
class Prototype(Algorithm):
    """FedAvg that sends a group which it does not declare."""

    def client_round(self, client: Client) -> Payload:
        return {**super().client_round(client), "prototype": {"mean": torch.zeros(4)}}


def test_an_algorithm_that_does_not_declare_a_group_is_told_where_to() -> None:
    with pytest.raises(ClientError, match=r"prototype 'mean' was not asked for \(see `upload_layout`\)"):
        StubRun(Prototype())


@pytest.mark.parametrize(
    "wrong",
    [{"reports": ["a"]}, {"reports": "ab"}, {"reports": ["a", 1]}, {"head": np.zeros((2, 14))},
     {"head": np.full((2, 14, 4), np.nan)}, {"cut": [True]}, {"nll": np.zeros(2)}, {"nll": np.full((2, 2), np.inf)}],
)  # fmt: skip
def test_a_generation_has_one_report_per_film_and_finite_figures(wrong: dict[str, Any]) -> None:
    right = GenerateReply(["a", "b"], np.zeros((2, 14, 4)), 0.0, [False, True], np.ones((2, 2)))
    check_generation(right, 2, "h01")
    with pytest.raises(ClientError, match="h01: "):
        check_generation(replace(right, **wrong), 2, "h01")
