"""Planted changes: one line each that a reviewer can miss, and that the gate must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.fedmrg import GENERIC, FedMRG
from fedmrg_core.algorithms.fedprox import FedProx
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.engine import warmup
from fedmrg_core.metrics import labeler, scorecard
from fedmrg_core.models.report_model import ReportModel

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """algorithm: whose run shows it. stage: the first stage that it changes. elsewhere: whether another machine shows
    it too, where rounding moves every number."""

    algorithm: str
    stage: str
    plant: Plant
    elsewhere: bool = True


def unweighted_mean(patch: pytest.MonkeyPatch) -> None:
    mean = tree.weighted_mean
    patch.setattr(tree, "weighted_mean", lambda items: mean((state, 1.0) for state, _ in items))


def single_precision_mean(patch: pytest.MonkeyPatch) -> None:
    def mean(items: Any) -> Any:
        total, whole = {}, 0.0
        for state, weight in items:
            total = {name: total.get(name, 0.0) + weight * tensor for name, tensor in tree.clone(state).items()}
            whole += weight
        return {name: tensor / whole for name, tensor in total.items()}

    patch.setattr(tree, "weighted_mean", mean)


def swapped_conditions(patch: pytest.MonkeyPatch) -> None:
    right, other = labeler._sentence, {"Edema": "Pneumonia", "Pneumonia": "Edema"}
    swapped = lambda said: tuple((other.get(name, name), state) for name, state in right(said))  # noqa: E731
    patch.setattr(labeler, "_sentence", swapped)


def lost_words(patch: pytest.MonkeyPatch) -> None:
    """Every twentieth word."""
    right = ReportModel.write

    def write(*args: Any, **words: Any) -> Any:
        made = right(*args, **words)
        kept = (" ".join(w for i, w in enumerate(text.split()) if i % 20 != 19) for text in made.reports)
        return replace(made, reports=list(kept))

    patch.setattr(ReportModel, "write", write)


def ignored_adapter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FedMRG, "adapter_weights", lambda self, client: {GENERIC: 1.0})


def lowered_scores(patch: pytest.MonkeyPatch) -> None:
    right = scorecard._keyed

    def keyed(*args: Any) -> Any:
        for key, score in right(*args):
            yield key, replace(score, value=score.value * 2 / 3)

    patch.setattr(scorecard, "_keyed", keyed)


def ignored_mu(patch: pytest.MonkeyPatch) -> None:
    right = FedProx.local_loss
    weak = lambda self, client, batch: right(replace(self, mu=1e-12), client, batch)  # noqa: E731
    patch.setattr(FedProx, "local_loss", weak)


def leaked_study(patch: pytest.MonkeyPatch) -> None:
    """A test study of the largest hospital takes the place of one training study."""
    right = Federation.open

    def opened(folder: Any) -> Federation:
        federation = right(folder)
        rows = federation.hospitals[0].rows
        rows["train"] = rows["train"].copy()
        rows["train"][0] = rows["test"][0]
        return federation

    patch.setattr(Federation, "open", opened)


def stale_broadcast(patch: pytest.MonkeyPatch) -> None:
    """Clients always begin at the first round's model."""
    first: dict[str, Any] = {}

    def broadcast(self: Algorithm, server: Any, client: str) -> Any:
        return {"shared": first.setdefault("params", server.params)}

    patch.setattr(Algorithm, "broadcast", broadcast)


def heavier_diagnosis(patch: pytest.MonkeyPatch) -> None:
    """Ten times the diagnosis weight in the warm-up of a base."""
    patch.setattr(warmup, "DX_WEIGHT", 10 * warmup.DX_WEIGHT)


MUTANTS = {
    "the server's mean is not weighted": Mutant("fedavg", "train", unweighted_mean),
    "the labeler swaps two conditions": Mutant("fedavg", "score", swapped_conditions),
    "every report loses 5 % of its words": Mutant("fedavg", "generate", lost_words),
    "FedMRG's personal view ignores its adapter": Mutant("fedmrg", "generate", ignored_adapter),
    "every score is lowered by a third": Mutant("fedavg", "score", lowered_scores),
    "FedProx ignores mu": Mutant("fedprox", "train", ignored_mu),
    "a test study is trained on": Mutant("fedavg", "train", leaked_study),
    "clients train on a stale model": Mutant("fedavg", "train", stale_broadcast),
    "the server's mean is in single precision": Mutant("fedavg", "train", single_precision_mean, elsewhere=False),
}
