"""FedEx-LoRA and FLoRA: the server adds to the frozen matrices, in training and in scoring, so that what is applied is
exactly the mean product."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from fedmrg_core.algorithms._changed_base import CHANGE, ChangedBase, changed
from fedmrg_core.algorithms.base import ServerState, Update
from fedmrg_core.algorithms.fedex_lora import FedExLoRA
from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.algorithms.flora import FLoRA
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.seeding import generator
from fedmrg_core.types import State
from tests.stub import POINTS, TRAIN, A, B, E, StubRun, W, means, written

LORA = Tuning("lora", rank=2, alpha=4.0)
NAME_A, NAME_B = A.format("generic"), B.format("generic")
METHODS: list[type[ChangedBase]] = [FedExLoRA, FLoRA]
WEIGHTS = {"h01": 4 / 7, "h02": 2 / 7, "h03": 1 / 7}


def applied(run: StubRun) -> Tensor:
    """What the server's state adds to W0."""
    params = run.server.params
    return run.server.memory[CHANGE][NAME_A] + 2.0 * params[NAME_B] @ params[NAME_A]


def mean_product(factors: dict[str, State]) -> Tensor:
    products = (WEIGHTS[c] * 2.0 * own[NAME_B] @ own[NAME_A] for c, own in factors.items())
    return sum(products, torch.zeros(3, 2))


@pytest.mark.parametrize("method", METHODS)
def test_the_applied_update_is_the_mean_product(method: type[ChangedBase]) -> None:
    """Each hospital's product is that of a run of it alone. Public code lacks s, or takes different means."""
    alone = {c: StubRun(FedLoRA(LORA), {"rounds": 1}, {c: POINTS[c]}).server.params for c in POINTS}
    run = StubRun(method(LORA), {"rounds": 1})
    torch.testing.assert_close(applied(run), mean_product(alone))
    assert run.server.memory[CHANGE][NAME_A].abs().max() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_scoring_and_the_next_round_see_the_changed_base(method: type[ChangedBase]) -> None:
    """In every view; and the worker gets its own base back."""
    run = StubRun(method(LORA))
    expected, reports = written(run.server.params[E], applied(run)), run.reports()
    assert {report for own in reports.values() for report in own} == {expected}
    run.worker.start_from({})
    assert run.worker.model.get_parameter(W).abs().sum() == 0


def test_flora_by_hand() -> None:
    """Full steps a from B = 0 move B alone: by a s (M_k - W) A^T, with W of the round's start. So W += a s^2 (mean(M) -
    W) A^T A, with a new A each round."""
    run = StubRun(FLoRA(LORA), {"rounds": 1, "batch_size": 4, "local_steps": 1})
    again = StubRun(FLoRA(LORA), {"rounds": 2, "batch_size": 4, "local_steps": 1})
    mean = sum((WEIGHTS[c] * m for c, m in means().items()), torch.zeros(2)).expand(3, 2)
    w = torch.zeros(3, 2)
    for one in (run, again):
        a = (run.initial if one is run else run.server).params[NAME_A]
        w = w + TRAIN.adapter_lr * 4.0 * (mean - w) @ a.T @ a
        torch.testing.assert_close(one.server.memory[CHANGE][NAME_A], w)
        assert one.server.params[NAME_B].abs().sum() == 0


def test_flora_stacks_hospitals_of_different_ranks() -> None:
    """Rows beyond a hospital's rank are not its own, and count for nothing."""
    run = StubRun(FLoRA(LORA, ranks=(1, 2)), {"rounds": 1})
    alone = {c: StubRun(FLoRA(LORA, ranks=(1, 2)), {"rounds": 1}, {c: POINTS[c]}) for c in POINTS}
    parts = (WEIGHTS[c] * one.server.memory[CHANGE][NAME_A] for c, one in alone.items())
    torch.testing.assert_close(run.server.memory[CHANGE][NAME_A], sum(parts, torch.zeros(3, 2)))
    assert int(torch.linalg.matrix_rank(alone["h01"].server.memory[CHANGE][NAME_A])) == 1


def test_a_single_hospital_leaves_fedex_no_residue_and_is_fedlora_to_the_bit() -> None:
    run, plain = (StubRun(cls(LORA), points={"h01": POINTS["h01"]}) for cls in (FedExLoRA, FedLoRA))
    assert all(run.server.params[name].equal(tensor) for name, tensor in plain.server.params.items())
    assert run.server.memory[CHANGE][NAME_A].abs().sum() == 0


def test_equal_hospitals_leave_fedex_no_residue() -> None:
    run = StubRun(FedExLoRA(LORA), points={"h01": POINTS["h03"], "h02": POINTS["h03"]})
    assert run.server.memory[CHANGE][NAME_A].abs().max() < 1e-6


class Server:
    """An algorithm's server with three hospitals' random factors of two matrices 40 x 30 and rank 2."""

    def __init__(self, algorithm: ChangedBase) -> None:
        self.algorithm = algorithm
        names = ["q.lora_A.generic.weight", "q.lora_B.generic.weight"]
        self.zero = {names[0]: torch.zeros(2, 30), names[1]: torch.zeros(40, 2)}
        self.state = algorithm.init_server(self.zero, 3)

    def round(self, cohort: str) -> ServerState:
        draw = torch.Generator().manual_seed(self.state.round)
        random = [{n: torch.randn(t.shape, generator=draw) for n, t in self.zero.items()} for _ in cohort]
        at = {"round": torch.tensor(self.state.round)}
        updates = [Update(c, 1.0 + i, {"delta": random[i], "seen": at}) for i, c in enumerate(cohort)]
        if "B" in cohort:  # b failed, and its last update counts again
            at = {"round": torch.tensor(self.state.round - 1)}
            updates = [
                replace(u, client_id="b", payload={**u.payload, "seen": at}) if u.client_id == "B" else u
                for u in updates
            ]
        moved = self.algorithm.aggregate(self.state, updates, generator(0))
        self.state = ServerState(moved.params, moved.memory, self.state.round + 1)
        return self.state


@pytest.mark.parametrize(("algorithm", "rank"), [(FedExLoRA(LORA), 4), (FLoRA(LORA), 6)])
def test_a_hospital_that_was_away_gets_the_whole_change(algorithm: ChangedBase, rank: int) -> None:
    """The others get the last change's factors, of rank (K - 1) r in FedEx, K r in FLoRA. All end with one C."""
    server = Server(algorithm)
    server.round("abc")
    kept = {c: run_client(algorithm, server.state, c, {}) for c in "abc"}
    server.round("ab")
    assert "base_change" in algorithm.broadcast(server.state, "c")
    assert "base_change" not in algorithm.broadcast(server.state, "b")
    sent = algorithm.broadcast(server.state, "a")["left"]["q.lora_A.generic.weight"]
    assert sent.shape == (40, rank - 2), "of two hospitals now"
    for client in "abcd":
        own = run_client(algorithm, server.state, client, kept.get(client, {}))
        assert own["q.lora_A.generic.weight"].equal(server.state.memory[CHANGE]["q.lora_A.generic.weight"])


def test_an_update_used_again_does_not_count_as_having_the_change() -> None:
    server = Server(FLoRA(LORA))
    server.round("ab")
    server.round("aB")
    assert "base_change" in server.algorithm.broadcast(server.state, "b")
    assert "left" in server.algorithm.broadcast(server.state, "a")


def run_client(algorithm: ChangedBase, server: ServerState, client: str, kept: State) -> State:
    """A round of a hospital that trains nothing; returns the C that it keeps."""
    weight = nn.Parameter(torch.zeros(40, 30))
    loaded: State = {}
    model = SimpleNamespace(named_parameters=lambda: {"q.base_layer.weight": weight}.items())
    context = SimpleNamespace(
        received=algorithm.broadcast(server, client), memory={CHANGE: kept}, model=model, load=loaded.update,
        fit=lambda: 0, delta=dict,
    )  # fmt: skip
    algorithm.client_round(context)  # type: ignore[arg-type]
    assert loaded["q.base_layer.weight"].equal(context.memory[CHANGE]["q.lora_A.generic.weight"])
    return context.memory[CHANGE]


def test_a_transposed_layer_is_changed_in_its_own_orientation() -> None:
    """GPT-2's layers store [in, out]."""
    change = {"q.lora_A.generic.weight": torch.arange(6.0).reshape(3, 2)}
    state = changed({"q.base_layer.weight": torch.ones(2, 3)}, change)
    torch.testing.assert_close(state["q.base_layer.weight"], 1 + torch.arange(6.0).reshape(3, 2).T)


def test_a_square_layer_of_another_type_is_refused() -> None:
    layer = nn.Module()
    layer.base_layer = nn.Bilinear(1, 1, 1)
    layer.base_layer.weight = nn.Parameter(torch.zeros(2, 2))
    config = SimpleNamespace(lm_bits=32)
    model = SimpleNamespace(config=config, tune=lambda *_: None, named_modules=lambda: [("q", layer)])
    with pytest.raises(ConfigError, match="q: a square Bilinear"):
        FedExLoRA(LORA).configure_model(model, 0)  # type: ignore[arg-type]
