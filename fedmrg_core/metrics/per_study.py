"""Per-study values as a table without text, from which every corpus metric can be computed again.

    card = scorecard(generations, reports)               # card.per_study: one row per generation
    measures(card.per_study)                             # the same metrics, from the numbers alone

Columns: `IDENTITY`; one per metric (the value of that study alone); the counts of metrics that are no means, as lists
(`bleu_counts`, `meteor_counts`, `<metric>_counts` of a registered metric); the 14 states of `reference_labels` and
`hypothesis_labels`; the diagnosis head's columns if there is a head; and `distinct_code` (equal numbers: equal
generations). `attrs["metrics"]` has each metric's version and direction; pandas stores it in the Parquet file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fedmrg_core.errors import DataError
from fedmrg_core.metrics import clinical, heads, java, nlg
from fedmrg_core.metrics.catalogue import Metric, find
from fedmrg_core.metrics.diversity import DistinctMeasure
from fedmrg_core.metrics.stats import Combine, Floats, Ints, Measure, SumMeasure, mean_measure, ratio

if TYPE_CHECKING:
    import pandas as pd

IDENTITY: tuple[str, ...] = ("study_id", "patient_id", "hospital", "part", "view")
HEAD: tuple[str, ...] = ("labels", "head_states", "head_probs")


def build(generations: pd.DataFrame, found: Sequence[tuple[Measure, Ints]], labels: clinical.States) -> pd.DataFrame:
    """The table of n generations.

    Args:
        generations: n rows with the columns of `IDENTITY`, `hypothesis`, and any of `HEAD`.
        found: metrics, each with the row numbers that have it; a metric may occur again with other rows.
        labels: states [2n, 14]: the references', then the generations'.
    """
    import pandas as pd

    n = len(generations)
    columns: dict[str, Any] = {name: list(generations[name]) for name in IDENTITY}
    for measure, rows in found:
        values = measure.per_study
        if np.isfinite(values).any():
            columns.setdefault(measure.name, np.full(n, np.nan))[rows] = values[rows]
    for measure, _ in found:
        if isinstance(measure, SumMeasure) and measure.counts:
            columns[measure.counts] = measure.rows.tolist()
    columns |= {"reference_labels": labels[:n].tolist(), "hypothesis_labels": labels[n:].tolist()}
    columns |= {name: list(generations[name]) for name in HEAD if name in generations.columns}
    columns["distinct_code"] = pd.factorize(generations["hypothesis"])[0]
    table = pd.DataFrame(columns)
    facts = {m.name: {"version": m.version, "higher_is_better": m.higher_is_better} for m, _ in found}
    table.attrs = {"metrics": facts}
    return table


def measures(table: pd.DataFrame) -> list[Measure]:
    """The metrics of a `build` table, or of its rows of one part and view, from its numbers alone.

    Raises:
        DataError: the table does not say which versions its metrics have.
    """
    facts: Mapping[str, Mapping[str, Any]] = table.attrs.get("metrics", {})
    if not facts:
        raise DataError("per-study values without the versions of their metrics: not a file of `--per-study`")
    known = {measure.name: measure for measure in [*_label_measures(table, facts), *head_measures(table)]}
    found = (known.get(name) or _rebuilt(table, find(name), fact) for name, fact in facts.items())
    return [measure for measure in found if measure is not None]


def _label_measures(table: pd.DataFrame, facts: Mapping[str, Mapping[str, Any]]) -> Sequence[Measure]:
    states = [matrix(table, name, np.int8) for name in ("reference_labels", "hypothesis_labels")]
    versions = [fact["version"] for name, fact in facts.items() if find(name).rebuilt_from == "label states"]
    if not versions or states[0] is None or states[1] is None:
        return []
    measures = clinical.measures(states[0], states[1], versions[0])
    return [*measures, *clinical.condition_measures(states[0], states[1], versions[0])]


def _rebuilt(table: pd.DataFrame, metric: Metric, fact: Mapping[str, Any]) -> Measure | None:
    """A metric from its counts or, where it is a mean, from its values; None where the table lacks them."""
    if metric.rebuilt_from == "distinct codes":
        return DistinctMeasure(tuple(table["distinct_code"]))
    column = counts_column(metric)
    version, better = fact["version"], fact["higher_is_better"]
    if column in table.columns:
        if metric.rebuilt_from == "values":
            return None  # counts of a metric that is not registered here: how they combine is not known
        rows: Floats = np.array(table[column].tolist(), dtype=np.float64)
        return SumMeasure(metric.key, rows, combine_of(metric) or ratio, version, better, column)
    if metric.key not in table.columns:
        return None
    return mean_measure(metric.key, table[metric.key].to_numpy(float), version, better)


def counts_column(metric: Metric) -> str:
    """The column of a metric's counts: one for all of BLEU, one for METEOR, else its own."""
    family = {"bleu counts": "bleu_counts", "meteor counts": "meteor_counts"}.get(metric.rebuilt_from)
    return f"{metric.key}_counts" if family is None else family + metric.key.removeprefix(metric.name)


def combine_of(metric: Metric) -> Combine | None:
    """What maps a metric's summed counts to its value; None for metrics that are no function of sums."""
    how = metric.rebuilt_from
    if how == "bleu counts":
        return partial(nlg.bleu_score, n=int(metric.name[-1]))
    if how == "meteor counts":
        return java.meteor_score
    if how in ("label states", "head states"):
        return clinical.combine_of(metric.key) or (ratio if metric.key == "head_accuracy" else None)
    return None if how == "distinct codes" else metric.combine or ratio


def head_measures(table: pd.DataFrame) -> list[Measure]:
    """The diagnosis head's metrics; none unless every row has the columns of `HEAD`."""
    labels = matrix(table, "labels", np.int8)
    if labels is None:
        return []
    return heads.measures(labels, matrix(table, "head_states", np.int8), matrix(table, "head_probs", np.float64))


def matrix(table: pd.DataFrame, name: str, dtype: Any) -> Any:
    """Column `name` as [n, 14]; None where the column or any of its rows is null.

    Raises:
        DataError: a row has another number of values.
    """
    if name not in table.columns or not len(table):
        return None
    values = [None if value is None else np.asarray(value).ravel() for value in table[name]]
    for row, value in enumerate(values):
        if value is None or (value.shape == (1,) and value[0] != value[0]):  # pandas writes NaN for null
            return None
        if value.shape != (14,):
            raise DataError(f"'{name}' needs 14 values, found {value.size}", "generations", row)
    return np.array(values, dtype=dtype)
