"""Trivial rows, which read no film or were never trained. They are on every board, to show what a score is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedmrg_core.algorithms.base import Algorithm, register
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx


def commonest(reports: Sequence[str]) -> str:
    """The most frequent report; among equally frequent ones the first in alphabetical order."""
    counts = Counter(reports)
    return min(counts, key=lambda report: (-counts[report], report))


@register("constant")
@dataclass(frozen=True)
class Constant(Algorithm):
    """The commonest training report over all seen hospitals, for every film."""

    family = "trivial rows"
    trains = False

    def replies(
        self, corpus: Mapping[str, Sequence[str]], hospital: str, count: int, generator: np.random.Generator
    ) -> list[str]:
        return [commonest([report for name in sorted(corpus) for report in corpus[name]])] * count


@register("commonest")
@dataclass(frozen=True)
class Commonest(Constant):
    """Each hospital's own commonest training report; for an unseen hospital the constant."""

    def replies(
        self, corpus: Mapping[str, Sequence[str]], hospital: str, count: int, generator: np.random.Generator
    ) -> list[str]:
        if hospital not in corpus:
            return super().replies(corpus, hospital, count, generator)
        return [commonest(corpus[hospital])] * count


@register("random_train")
@dataclass(frozen=True)
class RandomTrain(Algorithm):
    """A random training report of the own hospital; for an unseen hospital, of all seen ones."""

    family = "trivial rows"
    trains = False

    def replies(
        self, corpus: Mapping[str, Sequence[str]], hospital: str, count: int, generator: np.random.Generator
    ) -> list[str]:
        pool = corpus.get(hospital) or [report for name in sorted(corpus) for report in corpus[name]]
        return [pool[i] for i in generator.integers(len(pool), size=count)]


@register("untrained")
@dataclass(frozen=True)
class Untrained(FedLoRADx):
    """The warmed-up base with its diagnosis prompts, before any federated round."""

    family = "trivial rows"
    trains = False
