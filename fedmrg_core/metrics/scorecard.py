"""Every metric of a table of generations at once: pooled, per hospital, and mean, worst and spread over hospitals.

    scores, missing = scorecard(pd.read_parquet("runs/<run_id>/generations.parquet"), train_reports)
    scores["test/global/bleu4"]        # Score(value=.., low=.., high=.., n=.., version=.., higher_is_better=True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedmrg_core.errors import ConfigError, DataError, choose
from fedmrg_core.metrics import clinical, heads, nlg
from fedmrg_core.metrics.stats import Floats, Ints, Measure, Score, bootstrap_weights, interval, mean_measure
from fedmrg_core.metrics.text import CONVENTIONS
from fedmrg_core.seeding import generator
from fedmrg_core.types import Labels

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: tuple[str, ...] = ("study_id", "patient_id", "hospital", "part", "view", "reference", "hypothesis")
LabelMany = Callable[[Sequence[str]], Sequence[Labels]]

_NO_WORST = frozenset({"distinct", "verbatim"})
"""Diversity is neither good nor bad by itself: no worst hospital."""


@dataclass(frozen=True)
class Card:
    """`scores` by key, `missing` metrics with what to install, and `per_study` values (one row a generation)."""

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
) -> tuple[dict[str, Score], dict[str, str]]:
    """(scores by key, missing metrics with the reason and what to install); see `full_scorecard`."""
    card = full_scorecard(generations, train_reports, labeler, resamples, seed, conventions, weights)
    return card.scores, card.missing


def full_scorecard(
    generations: pd.DataFrame,
    train_reports: Sequence[str] | None,
    labeler: str | LabelMany = "rules",
    resamples: int = 1000,
    seed: int = 0,
    conventions: Sequence[str] = CONVENTIONS,
    weights: str = "",
) -> Card:
    """Score a table of generations.

    Args:
        generations: one row a (study, part, view) with the columns of `COLUMNS` and, where there are any, `labels`
            and `head_states` (14 `LabelState` integers a row) and `head_probs` (14 values of P(positive)).
        train_reports: the seen hospitals' training reports, for `verbatim`; None leaves it out.
        labeler: "rules", "chexbert" (with `weights`), or a function from reports to `Labels`.
        resamples: bootstrap resamples of the patients; 0 = no intervals (each is its value).
        seed: of the bootstrap; equal seeds give equal intervals.
        conventions: text conventions; `r2gen` metrics carry no suffix, `ptb` metrics `_ptb` (they need Java).
        weights: CheXbert's checkpoint file; its vocab.txt lies beside it.

    Raises:
        DataError: a column is missing, or a row has a wrong number of labels.
    """
    import pandas as pd

    table = _checked(generations)
    corpora = list(zip(table["part"], table["view"], strict=True))
    label_many, version = labeler_of(labeler, weights)
    measures, missing = _text_measures(table, corpora, train_reports, (label_many, version), conventions)
    scores: dict[str, Score] = {}
    columns: dict[str, Floats] = {measure.name: measure.per_study for measure in measures}
    for part, view in dict.fromkeys(corpora):
        rows = np.flatnonzero([key == (part, view) for key in corpora])
        own = [*measures, *_head_measures(table, rows)]
        for measure in own[len(measures) :]:
            columns.setdefault(measure.name, np.full(len(table), np.nan))[rows] = measure.per_study[rows]
        scores |= {f"{part}/{view}/{key}": score for key, score in _score_part(table, rows, own, resamples, seed)}
    identity = table[[name for name in COLUMNS if name not in ("reference", "hypothesis")]]
    return Card(scores, missing, pd.concat([identity, pd.DataFrame(columns)], axis=1))


def _checked(generations: pd.DataFrame) -> pd.DataFrame:
    absent = [name for name in COLUMNS if name not in generations.columns]
    if absent:
        raise DataError(f"generations lack the column(s) {', '.join(absent)}")
    return generations.reset_index(drop=True)


def _text_measures(
    table: pd.DataFrame,
    corpora: Sequence[object],
    train_reports: Sequence[str] | None,
    labeler: tuple[LabelMany, str],
    conventions: Sequence[str],
) -> tuple[list[Measure], dict[str, str]]:
    references, hypotheses = list(table["reference"]), list(table["hypothesis"])
    texts, missing = nlg.measures(references, hypotheses, corpora, conventions)
    label_many, version = labeler
    labels = np.array(label_many([*references, *hypotheses]), dtype=np.int8).reshape(-1, 14)
    found: list[Measure] = [*texts]
    found += clinical.measures(labels[: len(table)], labels[len(table) :], version)
    if train_reports is not None:
        found.append(verbatim(hypotheses, train_reports))
    return found, missing


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
            raise ConfigError("labeler 'chexbert' needs its checkpoint: give weights=PATH (vocab.txt beside it)")
        from fedmrg_core.metrics import chexbert

        loaded = chexbert.load(Path(weights))
        return loaded, loaded.version
    from fedmrg_core.metrics import labeler as rules

    return rules.label_many, rules.VERSION


def verbatim(hypotheses: Sequence[str], train_reports: Sequence[str]) -> Measure:
    """The share of generations that stand word for word in the training reports (white space and case aside)."""
    known = {" ".join(report.lower().split()) for report in train_reports}
    hits = [float(" ".join(text.lower().split()) in known) for text in hypotheses]
    return mean_measure("verbatim", np.array(hits), "verbatim 1", higher_is_better=False)


@dataclass(frozen=True)
class DistinctMeasure:
    """The share of generations that are distinct strings. No interval: a resample repeats studies, and with them
    their reports, so a bootstrap of this share would be biased; low and high equal the value."""

    hypotheses: tuple[str, ...]
    name: str = "distinct"
    version: str = "distinct 1"
    higher_is_better: bool = True

    @property
    def per_study(self) -> Floats:
        return np.full(len(self.hypotheses), np.nan)

    def score(self, weights: Floats, index: Ints) -> Floats:
        share = len({self.hypotheses[row] for row in index}) / max(len(index), 1)
        return np.full(len(weights), share)


def _matrix(table: pd.DataFrame, rows: Ints, name: str, dtype: Any) -> Any:
    """Column `name` of the rows as [n, 14], the other rows blank; None where the column or any of its rows is null."""
    if name not in table.columns or any(table[name].iloc[row] is None for row in rows):
        return None
    values = [np.asarray(table[name].iloc[row]).ravel() for row in rows]
    for row, value in zip(rows, values, strict=True):
        if value.shape != (14,):
            if value.shape == (1,) and value[0] != value[0]:  # pandas writes NaN for null
                return None
            raise DataError(f"'{name}' needs 14 values, found {value.size}", "generations", int(row))
    full = np.zeros((len(table), 14), dtype=dtype)
    full[rows] = np.array(values, dtype=dtype).reshape(-1, 14)
    return full


def _head_measures(table: pd.DataFrame, rows: Ints) -> list[Measure]:
    labels = _matrix(table, rows, "labels", np.int8)
    if labels is None:
        return [DistinctMeasure(tuple(table["hypothesis"]))]
    states = _matrix(table, rows, "head_states", np.int8)
    probabilities = _matrix(table, rows, "head_probs", np.float64)
    return [DistinctMeasure(tuple(table["hypothesis"])), *heads.measures(labels, states, probabilities)]


def _score_part(
    table: pd.DataFrame, rows: Ints, measures: Sequence[Measure], resamples: int, seed: int
) -> Iterator[tuple[str, Score]]:
    """Every (key, Score) of one part and view: pooled, per hospital, then over hospitals."""
    part, view = table["part"].iloc[rows[0]], table["view"].iloc[rows[0]]
    patients = table["patient_id"].astype(str)
    rng = generator(seed, "bootstrap", str(part), str(view))
    weights = bootstrap_weights(list(patients.iloc[rows]), resamples, rng)
    for measure in measures:
        yield from _keyed(measure.name, measure.score(weights, rows), len(rows), measure)
    by_hospital: dict[str, list[Floats]] = {measure.name: [] for measure in measures}
    hospitals = table["hospital"].iloc[rows].astype(str)
    for hospital in sorted(set(hospitals)):
        own = rows[(hospitals == hospital).to_numpy()]
        weights = bootstrap_weights(list(patients.iloc[own]), resamples, generator(seed, "bootstrap", part, hospital))
        for measure in measures:
            draws = measure.score(weights, own)
            by_hospital[measure.name].append(draws)
            yield from _keyed(f"{hospital}/{measure.name}", draws, len(own), measure)
    for measure in measures:
        yield from _over_hospitals(np.stack(by_hospital[measure.name]), measure)


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
    if measure.name in _NO_WORST:
        return
    worst = known.min(0) if measure.higher_is_better else known.max(0)
    yield from _keyed(f"worst_{measure.name}", worst, len(known), measure)
    spread = known.max(0) - known.min(0)
    value, low, high = interval(spread)
    yield f"spread_{measure.name}", Score(value, low, high, len(known), measure.version, False)
