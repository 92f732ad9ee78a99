"""FedALT: what comes from the others holds nothing of one's own; alone it is local LoRA; the gate mixes tokens."""

from __future__ import annotations

from pathlib import Path

import torch

from fedmrg_core.algorithms.base import Update
from fedmrg_core.algorithms.fedalt import FedALT
from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.engine.worker import Worker
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.seeding import generator
from tests.stub import POINTS, A, B, E, StubRun, means, written
from tests.toy import toy_spec

LORA = Tuning("lora", rank=2, alpha=4.0)
FIRST = torch.tensor([[0.3, 0.3], [0.15, -0.15]])
OWN = A.format("specialised"), B.format("specialised")
OTHERS = A.format("generic"), B.format("generic")


def test_alone_it_is_local_lora() -> None:
    """There are no others. (The stub has no layer that a gate could be in: its paths simply add up.)"""
    only = {"h01": POINTS["h01"]}
    run, plain = StubRun(FedALT(LORA), points=only), StubRun(FedLoRA(LORA), points=only)
    own = run.private("h01")["personal"]
    for ours, theirs in zip(OWN, OTHERS, strict=True):
        torch.testing.assert_close(own[ours], plain.server.params[theirs])
        torch.testing.assert_close(run.server.memory["pair h01"][theirs], own[ours])


def test_a_hospital_gets_the_mean_of_all_others() -> None:
    algorithm, draw = FedALT(LORA), torch.Generator().manual_seed(0)
    zero = {OTHERS[0]: torch.zeros(2, 5), OTHERS[1]: torch.zeros(4, 2)}
    own = {c: {n: torch.randn(t.shape, generator=draw) for n, t in zero.items()} for c in ("h01", "h02", "h03")}
    updates = [Update(client, 1.0, {"delta": state}) for client, state in own.items()]
    server = algorithm.aggregate(algorithm.init_server(zero, 3), updates, generator(0))
    for name in zero:
        got = algorithm.broadcast(server, "h01")["shared"][name]
        torch.testing.assert_close(got, (own["h02"][name] + own["h03"][name]) / 2)
        torch.testing.assert_close(algorithm.broadcast(server, "h04")["shared"][name], server.params[name])


def test_two_rounds_by_hand() -> None:
    """Full steps a. Round 1 begins without others and B_k = 0: B_k = a s M_k A^T. In round 2 the path is s (B_k A + B
    A) with B the mean of the others', and D = s (path - M_k) moves B_k by -a D A^T and A_k by -a B_k^T D."""
    a, s, train = 0.05, 2.0, {"local_steps": 1, "batch_size": 4, "adapter_lr": 0.05}
    run = StubRun(FedALT(LORA), train)
    first = {client: a * s * mean.expand(3, 2) @ FIRST.T for client, mean in means().items()}
    for client, mean in means().items():
        others = sum((b for other, b in first.items() if other != client), torch.zeros(3, 2)) / 2
        d = s * (s * (first[client] + others) @ FIRST - mean.expand(3, 2))
        own = run.private(client)["personal"]
        torch.testing.assert_close(own[OWN[1]], first[client] - a * d @ FIRST.T)
        torch.testing.assert_close(own[OWN[0]], FIRST - a * first[client].T @ d)


def test_a_new_hospital_gets_the_mean_of_all_pairs_at_a_half() -> None:
    run = StubRun(FedALT(LORA))
    params = run.server.params
    expected = written(params[E], 0.5 * 2.0 * params[OTHERS[1]] @ params[OTHERS[0]])
    assert run.reports()["unseen", "global", "h09"][0] == expected
    assert set(run.private("h01")["personal"]) == set(OWN)


def test_on_the_real_model_a_gate_mixes_both_adapters_token_by_token(toy_cache: Path) -> None:
    """By hand for one layer: W0 x + a s B_k A_k x + (1 - a) s B A x. One adapter alone is not gated, and no gate of an
    earlier pass stays open."""
    worker = Worker(toy_spec(toy_cache, "fedalt"))
    layer = next(module for module in worker.model.modules() if hasattr(module, "lora_gate"))
    draw = torch.Generator().manual_seed(0)
    for parameter in (layer.lora_gate["specialised"].weight, *(layer.lora_B[n].weight for n in layer.lora_B)):
        torch.nn.init.normal_(parameter, generator=draw)
    x, scale = torch.randn(2, 5, layer.in_features, generator=draw), worker.spec.algorithm.scale  # type: ignore[attr-defined]
    plain = layer.base_layer(x)
    said = {name: scale * layer.lora_B[name](layer.lora_A[name](x)) for name in ("specialised", "generic")}
    share = torch.softmax(x @ layer.lora_gate["specialised"].weight.T, dim=-1)
    expected = plain + share[..., :1] * said["specialised"] + share[..., 1:] * said["generic"]
    with worker.model.adapters.path(("generic", "specialised")):
        torch.testing.assert_close(layer(x), expected)
    with worker.model.adapters.path({"generic": 0.5}):
        torch.testing.assert_close(layer(x), plain + 0.5 * said["generic"])
        torch.testing.assert_close(layer(x), plain + 0.5 * said["generic"])
