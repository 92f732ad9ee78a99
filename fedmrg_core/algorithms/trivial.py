"""Trivial rows, which read no film or were never trained. They are on every board, to show what a score is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np

from fedmrg_core.algorithms.base import Algorithm, register
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx
from fedmrg_core.metrics.nlg import bleu_score
from fedmrg_core.metrics.text import clean_r2gen

MOST_REPORTS = 10_000
"""Reports that `best_by_bleu` looks at: seconds on one core. Of more, equally spaced ones."""


def commonest(reports: Sequence[str]) -> str:
    """The most frequent report; among equally frequent ones the first in alphabetical order."""
    counts = Counter(reports)
    return min(counts, key=lambda report: (-counts[report], report))


def _all(corpus: Mapping[str, Sequence[str]]) -> list[str]:
    """The reports of all hospitals, in the order of their names."""
    return [report for name in sorted(corpus) for report in corpus[name]]


@register("constant")
@dataclass(frozen=True)
class Constant(Algorithm):
    """The commonest training report over all seen hospitals, for every film."""

    family = "trivial rows"
    trains = False

    def replies(
        self, corpus: Mapping[str, Sequence[str]], hospital: str, count: int, generator: np.random.Generator
    ) -> list[str]:
        return [commonest(_all(corpus))] * count


def best_by_bleu(reports: Sequence[str]) -> str:
    """The report that, written for every film, has the highest corpus BLEU-4 against all of them (R2Gen's convention);
    of equally good ones the first in alphabetical order. "" for no report."""
    chosen = reports[:: max(1, ceil(len(reports) / MOST_REPORTS))]
    tokens = {report: clean_r2gen(report).split() for report in dict.fromkeys(chosen)}
    words = sum(len(tokens[report]) for report in chosen)
    matches = _matches([_grams(tokens[report]) for report in chosen])

    def bleu(report: str) -> float:
        own = tokens[report]
        hits = [0.0] * 4
        for gram, count in _grams(own).items():
            hits[len(gram) - 1] += sum(matches[gram, times] for times in range(1, count + 1))
        guesses = [max(0, len(own) - n) * len(chosen) for n in range(4)]
        return float(bleu_score(np.array([*hits, *guesses, len(own) * len(chosen), words]), 4))

    return min(tokens, key=lambda report: (-bleu(report), report), default="")


def _grams(tokens: Sequence[str]) -> Counter[tuple[str, ...]]:
    """How often each sequence of one to four tokens occurs."""
    return Counter(tuple(tokens[i : i + n]) for n in (1, 2, 3, 4) for i in range(len(tokens) - n + 1))


def _matches(references: Sequence[Counter[tuple[str, ...]]]) -> Counter[tuple[tuple[str, ...], int]]:
    """(gram, times) -> how many references have the gram at least so often. Summed over times up to a candidate's
    count, that is its clipped matches with all references, without a look at any pair."""
    found: Counter[tuple[tuple[str, ...], int]] = Counter()
    for grams in references:
        found.update((gram, times) for gram, count in grams.items() for times in range(1, count + 1))
    return found


@register("constant-bleu")
@dataclass(frozen=True)
class ConstantBleu(Algorithm):
    """One training report for every film: the one with the highest BLEU-4 against the seen hospitals' training
    reports. No constant that was chosen without the test set scores much higher."""

    family = "trivial rows"
    trains = False

    def replies(
        self, corpus: Mapping[str, Sequence[str]], hospital: str, count: int, generator: np.random.Generator
    ) -> list[str]:
        return [_best_of(tuple(_all(corpus)))] * count


_best_of = lru_cache(maxsize=1)(best_by_bleu)
"""Asked once per hospital and part, always for the same corpus."""


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
        pool = corpus.get(hospital) or _all(corpus)
        return [pool[i] for i in generator.integers(len(pool), size=count)]


@register("untrained")
@dataclass(frozen=True)
class Untrained(FedLoRADx):
    """The warmed-up base with its diagnosis prompts, before any federated round."""

    family = "trivial rows"
    trains = False
