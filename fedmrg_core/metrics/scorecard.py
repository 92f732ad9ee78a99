"""Every metric of a table of generations: pooled, per hospital, and mean, worst and spread over hospitals.

    card = scorecard(pd.read_parquet("runs/<run_id>/generations.parquet"), train_reports)
    card.scores["test/global/bleu4"]   # Score(value=.., low=.., high=.., n=.., version=.., higher_is_better=True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedmrg_core.errors import ConfigError, DataError, choose
from fedmrg_core.metrics import clinical, diversity, nlg, per_study
from fedmrg_core.metrics.catalogue import Reports, find
from fedmrg_core.metrics.stats import (
    Floats,
    Ints,
    Measure,
    Score,
    SumMeasure,
    bootstrap_weights,
    interval,
    registered_measures,
)
from fedmrg_core.metrics.text import CONVENTIONS, each_distinct
from fedmrg_core.seeding import generator
from fedmrg_core.types import Labels

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: tuple[str, ...] = ("study_id", "patient_id", "hospital", "part", "view", "reference", "hypothesis")
LabelMany = Callable[[Sequence[str]], Sequence[Labels]]
MeasureTexts = Callable[[Sequence[str], Sequence[str]], Sequence[Measure]]
"""References [n] and hypotheses [n] to metrics."""


@dataclass(frozen=True)
class Scorecard:
    """`scores` by key, `missing` metrics with what to install, and `per_study` values (`per_study.build`)."""

    scores: dict[str, Score]
    missing: dict[str, str]
    per_study: pd.DataFrame


def scorecard(
    generations: pd.DataFrame,
    train_reports: Sequence[str] | None,
    labeler: str | LabelMany = "rules",
    resamples: int = 1000,
    seed: int = 0,
    conventions: Sequence[str] = CONVENTIONS,
    weights: str = "",
    extra: MeasureTexts | None = None,
    meteor: bool = True,
) -> Scorecard:
    """Score a table of generations.

    Args:
        generations: one row per study, part and view, with the columns of `COLUMNS`; optional `labels` and
            `head_states` (14 `LabelState` integers per row), `head_probs` (14 values of P(positive) per row), and
            `nll`, `tokens`, `cut` and `truth`, as `Reports` has them.
        train_reports: training reports of the hospitals that trained, for `verbatim`; None leaves it out.
        labeler: "rules", "chexbert" (with `weights`), or a function from reports to `Labels`.
        resamples: bootstrap resamples of the patients; 0: no intervals (low and high equal the value).
        seed: of the bootstrap; equal seeds give equal intervals.
        conventions: text conventions; `r2gen` metrics have no suffix, `ptb` metrics end in `_ptb` and need Java.
        weights: CheXbert's checkpoint file, with vocab.txt in the same folder.
        extra: further metrics of the texts (RadEval).
        meteor: False leaves METEOR out, which needs Java.

    Raises:
        DataError: a column is missing, or a row has a wrong number of labels.
    """
    table = _checked(generations)
    references, hypotheses = list(table["reference"]), list(table["hypothesis"])
    corpora = list(zip(table["part"], table["view"], strict=True))
    labels, version = labels_of([*references, *hypotheses], labeler_of(labeler, weights))
    texts, missing = nlg.measures(references, hypotheses, corpora, conventions, meteor)
    states = labels[: len(table)], labels[len(table) :]
    common: list[Measure] = [*texts, *clinical.measures(*states, version)]
    common += clinical.condition_measures(*states, version)
    common += registered_measures(Reports(references, hypotheses, *states, train_reports, **_told(table)))
    common += [*(extra(references, hypotheses) if extra else ()), diversity.DistinctMeasure(tuple(hypotheses))]
    return _scored(table, common, labels, missing, (resamples, seed))


def _scored(
    table: pd.DataFrame,
    common: Sequence[Measure],
    labels: clinical.States,
    missing: dict[str, str],
    bootstrap: tuple[int, int],
) -> Scorecard:
    """The scorecard of `common` metrics, which every row has, and of the diagnosis head's, which some parts have."""
    found: list[tuple[Measure, Ints]] = [(measure, np.arange(len(table))) for measure in common]
    scores: dict[str, Score] = {}
    corpora = list(zip(table["part"], table["view"], strict=True))
    for part, view in dict.fromkeys(corpora):
        rows = np.flatnonzero([key == (part, view) for key in corpora])
        heads = [_SubsetMeasure(measure, rows, len(table)) for measure in per_study.head_measures(table.iloc[rows])]
        found += [(measure, rows) for measure in heads]
        scored = _score_part(table, rows, [*common, *heads], *bootstrap)
        scores |= {f"{part}/{view}/{key}": score for key, score in scored}
    return Scorecard(scores, missing, per_study.build(table, found, labels))


def _told(table: pd.DataFrame) -> dict[str, Any]:
    """The fields of `Reports` that come from optional columns."""
    found: dict[str, Any] = {}
    if {"nll", "tokens"} <= set(table.columns):
        found["nll"] = table[["nll", "tokens"]].to_numpy(np.float64, na_value=0.0)
    if "cut" in table.columns:
        found["cut"] = table["cut"].to_numpy(np.float64)
    if "truth" in table.columns:
        found["truth"] = list(table["truth"])
    return found


def _checked(generations: pd.DataFrame) -> pd.DataFrame:
    absent = [name for name in COLUMNS if name not in generations.columns]
    if absent:
        raise DataError(f"generations lack the column(s) {', '.join(absent)}")
    return generations.reset_index(drop=True)


def labels_of(reports: Sequence[str], labeler: tuple[LabelMany, str]) -> tuple[clinical.States, str]:
    """The states [n, 14] of n reports, and the version of the labeler (as `labeler_of` gives it)."""
    label_many, version = labeler
    return np.array(each_distinct(reports, label_many), dtype=np.int8).reshape(-1, 14), version


@dataclass(frozen=True)
class _SubsetMeasure:
    """A metric of m of a table's n rows, which takes and returns row numbers of the whole table."""

    measure: Measure
    rows: Ints
    n: int

    @property
    def name(self) -> str:
        return self.measure.name

    @property
    def version(self) -> str:
        return self.measure.version

    @property
    def higher_is_better(self) -> bool:
        return self.measure.higher_is_better

    @property
    def per_study(self) -> Floats:
        values = np.full(self.n, np.nan)
        values[self.rows] = self.measure.per_study
        return values

    def score(self, weights: Floats, index: Ints) -> Floats:
        return self.measure.score(weights, np.searchsorted(self.rows, index))


def labeler_of(labeler: str | LabelMany, weights: str = "") -> tuple[LabelMany, str]:
    """A labeler by name ("rules" or "chexbert") or as given, and its version.

    Raises:
        ConfigError: an unknown name, or chexbert without weights.
        DataError: the weights cannot be read.
    """
    if not isinstance(labeler, str):
        return labeler, str(getattr(labeler, "version", getattr(labeler, "__name__", "custom labeler")))
    if choose("labeler", labeler, ["rules", "chexbert"]) == "chexbert":
        if not weights:
            raise ConfigError("labeler 'chexbert' needs its checkpoint: give weights=PATH (vocab.txt in its folder)")
        from fedmrg_core.metrics import chexbert

        loaded = chexbert.load(Path(weights))
        return loaded, loaded.version
    from fedmrg_core.metrics import labeler as rules

    return rules.label_many, rules.VERSION


def _score_part(
    table: pd.DataFrame, rows: Ints, measures: Sequence[Measure], resamples: int, seed: int
) -> Iterator[tuple[str, Score]]:
    """(key, Score) of one part and view: pooled, per hospital, then over hospitals."""
    part, view = table["part"].iloc[rows[0]], table["view"].iloc[rows[0]]
    patients = table["patient_id"].astype(str)
    rng = generator(seed, "bootstrap", str(part), str(view))
    weights = bootstrap_weights(list(patients.iloc[rows]), resamples, rng)
    for measure in measures:
        yield from _keyed(measure.name, measure.score(weights, rows), len(rows), measure)
    split = [measure for measure in measures if find(measure.name).by_hospital]
    by_hospital: dict[str, list[Floats]] = {measure.name: [] for measure in split}
    hospitals = table["hospital"].iloc[rows].astype(str)
    for hospital in sorted(set(hospitals)):
        own = rows[(hospitals == hospital).to_numpy()]
        weights = bootstrap_weights(list(patients.iloc[own]), resamples, generator(seed, "bootstrap", part, hospital))
        for measure in split:
            draws = measure.score(weights, own)
            by_hospital[measure.name].append(draws)
            yield from _keyed(f"{hospital}/{measure.name}", draws, len(own), measure)
    for measure in split:
        yield from _over_hospitals(np.stack(by_hospital[measure.name]), measure)
        if find(measure.name).worst_tables and isinstance(measure, SumMeasure) and len(set(hospitals)) > 1:
            rng = generator(seed, "shuffled hospitals", str(part), str(view))
            order = np.argsort(table["study_id"].iloc[rows].astype(str).to_numpy())  # the table's order tells nothing
            yield from shuffled_worst(measure, rows[order], list(hospitals), rng)


def _keyed(key: str, draws: Floats, n: int, measure: Measure) -> Iterator[tuple[str, Score]]:
    value, low, high = interval(draws)
    if np.isfinite(value):
        yield key, Score(value, low, high, n, measure.version, measure.higher_is_better)


def _over_hospitals(draws: Floats, measure: Measure) -> Iterator[tuple[str, Score]]:
    """Mean, worst and spread (best minus worst) of one metric over hospitals; draws [hospitals, b]. `n` = hospitals."""
    known = draws[np.isfinite(draws[:, 0])]
    if not len(known):
        return
    yield from _keyed(f"mean_{measure.name}", known.mean(0), len(known), measure)
    if not find(measure.name).worst:
        return
    worst = known.min(0) if measure.higher_is_better else known.max(0)
    yield from _keyed(f"worst_{measure.name}", worst, len(known), measure)
    spread = known.max(0) - known.min(0)
    value, low, high = interval(spread)
    yield f"spread_{measure.name}", Score(value, low, high, len(known), measure.version, False)


SHUFFLES = 500
"""Permutations of the studies."""


def shuffled_worst(
    measure: SumMeasure, rows: Ints, hospitals: Sequence[str], rng: np.random.Generator
) -> Iterator[tuple[str, Score]]:
    """What the worst hospital would score if hospitals were alike: the studies are dealt to them at random, sizes kept.
    Value: mean over permutations; low, high: their 95 % range."""
    _, sizes = np.unique(hospitals, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    sums = (np.add.reduceat(measure.rows[rng.permutation(rows)], starts) for _ in range(SHUFFLES))
    values, sign = np.stack([measure.combine(one) for one in sums]), 1 if measure.higher_is_better else -1
    worst = np.where(np.isfinite(values), sign * values, np.inf).min(axis=1)
    worst = sign * worst[np.isfinite(worst)]
    if len(worst):
        low, high = np.quantile(worst, [0.025, 0.975])
        score = Score(float(worst.mean()), float(low), float(high), len(sizes), measure.version, sign > 0)
        yield f"shuffled_worst_{measure.name}", score
