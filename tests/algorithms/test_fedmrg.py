"""FedMRG's identities, bit by bit, and its losses against loops written from the formulas of docs/fedmrg.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fedmrg_core.algorithms.base import ClientState
from fedmrg_core.algorithms.fedmrg import BoostedPath, FedMRG, boosting_loss, inter_contrast, intra_contrast
from fedmrg_core.engine.client import ClientContext
from fedmrg_core.engine.memory.wire import pack, unpack
from fedmrg_core.engine.messages import TrainTask
from fedmrg_core.engine.worker import Worker
from fedmrg_core.models.report_model import Batch, DecoderOutput
from tests.toy import Run, same, toy_spec

ALL_OFF: dict[str, Any] = {"specialised": False, "lambda_intra": 0.0, "lambda_inter": 0.0}


def test_everything_off_is_fedlora(toy_cache: Path) -> None:
    plain = Run(toy_spec(toy_cache, "fedlora")).server
    off = Run(toy_spec(toy_cache, "fedmrg", prompts=False, dx_weight=0.0, **ALL_OFF)).server
    assert same(plain, off, names=plain.params)


def test_everything_off_but_the_prompts_is_fedlora_dx(toy_cache: Path) -> None:
    assert same(Run(toy_spec(toy_cache, "fedlora-dx")).server, Run(toy_spec(toy_cache, "fedmrg", **ALL_OFF)).server)


def test_a_specialised_adapter_without_weights_leaves_the_generic_side_as_fedlora_dx(toy_cache: Path) -> None:
    off = {**ALL_OFF, "specialised": True, "choose_share": False, "kd_l2g": 0.0, "kd_g2l": 0.0}
    run = Run(toy_spec(toy_cache, "fedmrg", **off))
    assert same(Run(toy_spec(toy_cache, "fedlora-dx")).server, run.server)
    name = next(n for n in run.worker.personal_names() if ".lora_B." in n)
    adapters = {client: unpack(run.store.get(client))["personal"][name] for client in run.store.clients()}
    assert all(tensor.abs().sum() > 0 for tensor in adapters.values()), "the specialised adapters did not learn"
    assert len({tensor.numpy().tobytes() for tensor in adapters.values()}) == len(adapters), "two hospitals share one"


@pytest.fixture(name="worker")
def _worker(toy_cache: Path) -> Worker:
    return Worker(toy_spec(toy_cache, "fedmrg", "prompt_from_head=0"))


def _context(worker: Worker, prototypes: dict[str, torch.Tensor] | None = None) -> ClientContext:
    received = {"shared": worker.initial, "prototypes": prototypes or {}}
    return ClientContext(worker, worker.federation.hospitals[0], 0, received, {})


def test_b_s_0_gives_p_s_equal_p_g(worker: Worker) -> None:
    batch = worker.batch(worker.federation.hospitals[0].rows["train"][:4])
    vision = worker.model.encode(batch.images)
    generic = worker.model.decode(batch, vision.prefix, None, ("generic",))
    special = worker.model.decode(batch, vision.prefix, None, ("generic", "specialised"), constant=("generic",))
    assert special.logits.equal(generic.logits)


def _gradients(worker: Worker, loss: torch.Tensor) -> set[str]:
    worker.model.zero_grad(set_to_none=True)
    loss.backward()
    return {n for n, p in worker.model.named_parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)}


def _groups(names: set[str]) -> set[str]:
    def group(name: str) -> str:
        return name.rsplit(".", 2)[-2] if ".lora_" in name else name.split(".")[0]

    return {group(name) for name in names}


@pytest.mark.parametrize("form", ["parallel", "stacked"])
def test_who_moves_whom(worker: Worker, form: str) -> None:
    """L_l2g moves g, E, P, Q; L_g2l and CE(p_s) move s_k only; L_dx alone moves D."""
    for name, parameter in worker.model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model, algorithm = worker.model, worker.spec.algorithm
    assert isinstance(algorithm, FedMRG)
    batch = worker.batch(worker.federation.hospitals[0].rows["train"][:4])

    def paths() -> tuple[DecoderOutput, DecoderOutput]:
        vision = model.encode(batch.images)
        prompts = model.prompts(batch.states)
        generic = model.decode(batch, vision.prefix, prompts, ("generic",))
        args = (batch, vision.prefix.detach(), prompts.detach(), tuple(replace(algorithm, form=form).weights_at(1.0)))
        return generic, model.decode(*args, constant=("generic",))

    def boost(teacher: DecoderOutput, student: DecoderOutput) -> torch.Tensor:
        return boosting_loss(*(BoostedPath.of(path, batch, 2.0) for path in (teacher, student)), 2.0, "soft", 1.0)

    generic, special = paths()
    assert _groups(_gradients(worker, boost(special, generic))) == {"generic", "encoder", "connector", "dx_prompts"}
    generic, special = paths()
    assert _groups(_gradients(worker, boost(generic, special))) == {"specialised"}
    _, special = paths()
    assert _groups(_gradients(worker, special.loss)) == {"specialised"}
    generic, _ = paths()
    assert "dx_head" not in _groups(_gradients(worker, generic.loss))
    vision = model.encode(batch.images)
    assert _groups(_gradients(worker, algorithm.diagnosis_loss(_context(worker), vision, batch))) == {
        "encoder", "dx_head",
    }  # fmt: skip


def test_the_whole_loss_gives_both_adapters_their_gradients(worker: Worker) -> None:
    """The sum's backward equals the backward of each path alone: no leaf is switched off when it counts."""
    for name, parameter in worker.model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    batch = worker.batch(worker.federation.hospitals[0].rows["train"][:4])
    loss = worker.spec.algorithm.local_loss(_context(worker), batch)
    moved = _groups(_gradients(worker, loss))
    assert moved == {"generic", "specialised", "encoder", "connector", "dx_head", "dx_prompts"}


def test_no_specialised_tensor_leaves_home_and_prototypes_have_length_1(toy_cache: Path) -> None:
    run = Run(toy_spec(toy_cache, "fedmrg"))
    task = TrainTask("h01", 1, run.store.get("h01"))
    reply = run.worker.train(task, pack(run.spec.algorithm.broadcast(run.server, "h01")))
    assert not [name for state in unpack(reply.upload).values() for name in state if "specialised" in name]
    lengths = [float(mu.norm()) for mu in run.server.memory["prototypes"].values()]
    assert lengths == pytest.approx([1.0] * 3, abs=1e-6)


# ---- closed forms


def _decoder_output(seed: int) -> DecoderOutput:
    draw = torch.Generator().manual_seed(seed)
    return DecoderOutput(torch.randn(2, 3, 7, generator=draw), torch.randn(2, 3, 4, generator=draw), torch.zeros(()))


GATES = {
    "soft": lambda ahead: 1 / (1 + np.exp(-2 * ahead)),
    "hard": lambda ahead: float(ahead > 0),
    "none": lambda ahead: 1.0,
}


@pytest.mark.parametrize("gate", GATES)
def test_boosting_loss_against_a_loop_over_tokens(gate: str) -> None:
    teacher, student = _decoder_output(0), _decoder_output(1)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    batch = Batch(torch.zeros(2, 1, 1), torch.tensor([[1, 2, 0], [3, 0, 0]]), mask, torch.zeros(2, 14))
    terms = []
    for i, t in mask.nonzero().tolist():
        logits = [output.logits[i, t].double().numpy() for output in (teacher, student)]
        p, q = (np.exp(values / 2) / np.exp(values / 2).sum() for values in logits)
        truth = [values[batch.tokens[i, t]] - np.log(np.exp(values).sum()) for values in logits]
        a, b = (r.hidden[i, t].double().numpy() for r in (teacher, student))
        gap = ((b / np.linalg.norm(b) - a / np.linalg.norm(a)) ** 2).sum()
        terms.append(GATES[gate](truth[0] - truth[1]) * 4 * (p * np.log(p / q)).sum() + 0.5 * gap)
    paths = [BoostedPath.of(output, batch, 2.0) for output in (teacher, student)]
    assert float(boosting_loss(*paths, 2.0, gate, alignment=0.5)) == pytest.approx(np.mean(terms), rel=1e-5)


def test_what_writes_a_hospitals_own_reports(worker: Worker) -> None:
    algorithm = worker.spec.algorithm
    trained = ClientState("h01", personal={"x": torch.zeros(1)})
    assert algorithm.adapter_weights(trained) == {"specialised": 1.0}
    assert replace(algorithm, form="stacked").adapter_weights(trained) == {"generic": 1.0, "specialised": 1.0}
    for client in (None, ClientState("h01")):
        assert algorithm.adapter_weights(client) == {"generic": 1.0}, "an adapter that was never trained writes nothing"


def test_inter_contrast_against_its_formula() -> None:
    draw = torch.Generator().manual_seed(3)
    z = F.normalize(torch.randn(4, 5, generator=draw), dim=-1)
    mu = {name: F.normalize(torch.randn(5, generator=draw), dim=0) for name in ("h01", "h02", "h03")}
    scores = {name: np.exp(z.double().numpy() @ m.double().numpy() / 0.07) for name, m in mu.items()}
    expected = np.mean(-np.log(scores["h02"] / sum(scores.values())))
    assert float(inter_contrast(z, mu, "h02", 0.07)) == pytest.approx(expected, rel=1e-5)
    assert float(inter_contrast(z, {"h02": mu["h02"]}, "h02", 0.07)) == 0.0
    assert float(inter_contrast(z, {"h01": mu["h01"], "h03": mu["h03"]}, "h02", 0.07)) == 0.0


def test_intra_contrast_against_loops() -> None:
    draw = torch.Generator().manual_seed(4)
    z = F.normalize(torch.randn(5, 3, generator=draw), dim=-1)
    sets = [{0, 1}, {1}, {2}, {0, 1, 2}, set()]  # the last anchor has no partner
    positive = torch.zeros(5, 14, dtype=torch.bool)
    for i, members in enumerate(sets):
        positive[i, list(members)] = True
    similar = np.exp((z.double() @ z.double().T).numpy() / 0.07)
    anchors = []
    for i, own in enumerate(sets):
        weight = {j: len(own & other) / len(own | other) for j, other in enumerate(sets) if j != i and own & other}
        if weight:
            rest = sum(similar[i, a] for a in range(5) if a != i)
            anchors.append(sum(w * np.log(similar[i, j] / rest) for j, w in weight.items()) / sum(weight.values()))
    assert float(intra_contrast(z, positive, 0.07)) == pytest.approx(-np.mean(anchors), rel=1e-4)
    assert float(intra_contrast(z, torch.zeros(5, 14, dtype=torch.bool), 0.07)) == 0.0
