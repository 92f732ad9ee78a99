"""Adapters count by weights, per client or per study (as FedDPA, Yang et al., NeurIPS 2024, needs it)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, Client, ClientState
from fedmrg_core.engine.worker import Worker
from fedmrg_core.models.report_model import Batch, VisionOutput
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.types import Payload
from tests.stub import A, B, E, StubRun, written
from tests.toy import toy_spec

LORA = Tuning("lora", rank=1, alpha=1.0)


@dataclass(frozen=True)
class TwoAdapters(Algorithm):
    """A shared adapter, and a client's own one that counts by a weight that the client chose."""

    tuning: Tuning = LORA
    per_study: bool = False

    adapters = ("generic", "own")

    def is_shared(self, name: str) -> bool:
        return ".own." not in name

    def client_round(self, client: Client) -> Payload:
        client.memory["mix"] = {"own": torch.tensor(0.25)}
        return super().client_round(client)

    def adapter_weights(self, client: ClientState | None) -> dict[str, float]:
        return {"generic": 1.0} if client is None else {"generic": 1.0, "own": float(client.memory["mix"]["own"])}

    def study_weights(self, vision: VisionOutput, client: ClientState | None) -> Mapping[str, float | Tensor]:
        weights = self.adapter_weights(client)
        return weights if client is None or not self.per_study else {**weights, "own": vision.mean[:, 0]}


@pytest.mark.parametrize("per_study", [False, True])
def test_a_client_generates_with_its_own_weights(per_study: bool) -> None:
    run = StubRun(TwoAdapters(per_study=per_study))
    shared, own = run.server.params, run.private("h01")["personal"]
    generic = shared[B.format("generic")] @ shared[A.format("generic")]
    special = own[B.format("own")] @ own[A.format("own")]
    assert special.abs().max() > 1e-3
    reports = run.reports()
    assert reports["test", "global", "h01"] == [written(shared[E], generic)] * 2
    weights = (1.0, 2.0) if per_study else (0.25, 0.25)  # the test studies are (1, 1) and (2, 2)
    assert reports["test", "personal", "h01"] == [written(shared[E], generic + w * special) for w in weights]


@pytest.fixture(name="worker")
def _worker(toy_cache: Path) -> Worker:
    worker = Worker(toy_spec(toy_cache, "fedmrg"))
    _fill(worker)
    return worker


def _fill(worker: Worker) -> None:
    """Give every B some values, or its adapter would say nothing."""
    for name, parameter in worker.model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(0))


def _logits(worker: Worker, adapters: object, batch: Batch) -> Tensor:
    with torch.no_grad():
        return worker.model.decode(batch, worker.model.encode(batch.images).prefix, None, adapters).logits  # type: ignore[arg-type]


def test_on_the_real_model_a_weight_scales_the_adapters_product(worker: Worker) -> None:
    batch = worker.batch(worker.federation.hospitals[0].rows["train"][:4])
    whole = _logits(worker, ("generic", "specialised"), batch)
    assert _logits(worker, {"generic": 1.0, "specialised": 1.0}, batch).equal(whole)
    quarter = _logits(worker, {"generic": 1.0, "specialised": 0.25}, batch)
    each = _logits(worker, {"generic": 1.0, "specialised": torch.tensor([0.25, 1.0, 0.0, 1.0])}, batch)
    none = _logits(worker, ("generic",), batch)
    for study, expected in enumerate((quarter, whole, none, whole)):
        torch.testing.assert_close(each[study], expected[study])
    assert _logits(worker, ("generic", "specialised"), batch).equal(whole), "a weight outlived its pass"
    with torch.no_grad():
        for name, parameter in worker.model.named_parameters():
            if ".lora_B.specialised" in name:
                parameter.mul_(0.25)
    torch.testing.assert_close(_logits(worker, ("generic", "specialised"), batch), quarter)


def test_gradient_checkpointing_repeats_a_pass_with_its_own_weights(toy_cache: Path) -> None:
    """On the way back a layer runs once more; by then another path, with other weights, has been active."""
    gradients = []
    for on in ("false", "true"):
        worker = Worker(toy_spec(toy_cache, "fedmrg", f"gradient_checkpointing={on}"))
        _fill(worker)
        batch = worker.batch(worker.federation.hospitals[0].rows["train"][:4])
        prefix = worker.model.train().encode(batch.images).prefix.detach()
        first = worker.model.decode(batch, prefix, None, {"generic": 0.25, "specialised": torch.arange(4.0)}).loss
        (first + worker.model.decode(batch, prefix, None, {"generic": 2.0}).loss).backward()
        gradients.append({n: p.grad for n, p in worker.model.named_parameters() if ".lora_" in n})
    assert all(gradients[0][name].equal(gradients[1][name]) for name in gradients[0])
    assert max(float(grad.abs().max()) for name, grad in gradients[0].items() if ".specialised." in name) > 0


def test_generation_takes_weights_per_study_with_and_without_contrastive_decoding(worker: Worker) -> None:
    images = worker.images(worker.federation.hospitals[0].rows["train"][:3])
    for prompt_weight in (1.0, 1.5):
        whole, none = (worker.model.eval().generate(images, names, prompt_weight=prompt_weight).reports
                       for names in (("generic", "specialised"), ("generic",)))  # fmt: skip
        assert whole != none
        weights = lambda vision: {"generic": 1.0, "specialised": torch.tensor([1.0, 0.0, 1.0])}  # noqa: E731
        mixed = worker.model.generate(images, weights, prompt_weight=prompt_weight).reports
        assert mixed == [whole[0], none[1], whole[2]]
