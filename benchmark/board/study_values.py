"""The values of each study that a board needs, committed beside a result: counts without text and without ids.

    leaderboards/results/<split>/<preset>/<algorithm>--s<seed>.npz

By part and view: the number of each study's patient and hospital, and the counts of every metric that boards show,
whose sum gives the score of any set of studies. Studies are in the order of their ids, so that results of one draw
agree row by row. Equal tables give equal bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.board.results import Result, result_path
from benchmark.scoring.report_table import read_stored
from fedmrg_core.errors import DataError
from fedmrg_core.files import write_atomic
from fedmrg_core.metrics.catalogue import find, shown
from fedmrg_core.metrics.stats import Floats, Ints, SumMeasure
from fedmrg_core.paths import ROOT
from fedmrg_core.runfolder import PER_STUDY

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("board", "head", "text")
"""The tables of metrics whose intervals a board shows."""
CLOSE = 2e-6
"""How far a score that these values give may be from the committed one, which has six decimals."""


@dataclass(frozen=True)
class ViewValues:
    """One part and view of a result: n studies. patients, hospitals: numbers [n], from 0. rows: by metric, the counts
    [n, k] that `per_study.combine_of` combines."""

    patients: Ints
    hospitals: Ints
    rows: Mapping[str, Floats]

    def equals(self, other: ViewValues) -> bool:
        """Whether the other has the same studies and counts."""
        pairs: list[tuple[Any, Any]] = [(self.patients, other.patients), (self.hospitals, other.hospitals)]
        pairs += [(rows, other.rows[name]) for name, rows in self.rows.items() if name in other.rows]
        return self.rows.keys() == other.rows.keys() and all(np.array_equal(one, two) for one, two in pairs)


StudyValues = Mapping[str, ViewValues]
"""By part and view, such as `test/personal`."""


def values_path(result: Mapping[str, Any], root: Path = ROOT) -> Path:
    """Where the values of a result are committed."""
    return result_path(result, root).with_suffix(".npz")


def commit_values(result: Mapping[str, Any], run: Path, root: Path = ROOT) -> None:
    """Commit the values of a result from its run's folder; remove older ones where it may have none: a private or
    credentialed source (`provenance.private`), a failed run, or one of a version that did not say."""
    path = values_path(result, root)
    if result["status"] == "finished" and result["provenance"].get("private") is False:
        write_atomic(path, packed(read_stored(run / PER_STUDY, ())))
    else:
        path.unlink(missing_ok=True)


def packed(table: pd.DataFrame) -> bytes:
    """The content of a values file, from a table of per-study values (`fedmrg_core.metrics.per_study`)."""
    arrays: dict[str, Any] = {}
    facts: dict[str, dict[str, int]] = {}
    for (part, view), rows in table.groupby(["part", "view"], sort=True):
        rows = rows.sort_values("study_id", kind="stable").reset_index(drop=True)
        rows.attrs = table.attrs
        name = f"{part}/{view}"
        arrays[f"{name}/patients"] = _small(_numbers(rows["patient_id"], sort=False))
        arrays[f"{name}/hospitals"] = _small(_numbers(rows["hospital"], sort=True))
        facts[name] = {}
        stored: dict[int, int] = {}  # metrics of one family share their counts
        for measure in _summed(rows):
            number = stored.setdefault(id(measure.rows), len(stored))
            facts[name][measure.name] = number
            arrays[f"{name}/{number}"] = _small(measure.rows)
    stream = io.BytesIO()
    np.savez_compressed(stream, facts=np.array(json.dumps(facts, sort_keys=True)), **arrays)
    return stream.getvalue()


def _summed(rows: pd.DataFrame) -> list[SumMeasure]:
    """The metrics of a board that are functions of sums and that these rows have."""
    from fedmrg_core.metrics import per_study

    wanted = {metric.key for name in TABLES for metric in shown(name)}
    found = [measure for measure in per_study.measures(rows) if isinstance(measure, SumMeasure)]
    known = [one for one in found if np.isfinite(one.combine(one.rows.sum(0)))]
    return [one for one in known if one.name in wanted and per_study.combine_of(find(one.name)) is not None]


def _numbers(names: pd.Series, sort: bool) -> Ints:
    """A number for each distinct name, by name or by first occurrence."""
    import pandas as pd

    return np.asarray(pd.factorize(names.astype(str), sort=sort)[0], dtype=np.int64)


def _small(values: Any) -> Any:
    """The same numbers in the smallest integers that hold them; in float64 where they are no counts."""
    table = np.asarray(values)
    if table.min(initial=0) < 0 or not np.array_equal(table, np.floor(table)):
        return table.astype(np.float64)
    return table.astype(np.min_scalar_type(int(table.max(initial=0))))


def read(result: Result, root: Path = ROOT) -> StudyValues | None:
    """The committed values of a result; None if there are none.

    Raises:
        DataError: the file is damaged, or does not give the result's scores.
    """
    path = values_path(result, root)
    if not path.is_file():
        return None
    try:
        found = _unpacked(path)
    except Exception as error:  # zipfile, zlib, json and numpy raise many kinds for a damaged file
        raise DataError(f"is no file of values: {type(error).__name__}", file=str(path)) from None
    for view, values in found.items():
        wrong = _wrong(values, view, result)
        if wrong:
            raise DataError(wrong, file=str(path))
    return found


def of_run(run: Path) -> StudyValues:
    """The values of a run that is not committed, from its folder."""
    return _unpacked(io.BytesIO(packed(read_stored(run / PER_STUDY, ()))))


def _unpacked(source: Path | io.BytesIO) -> StudyValues:
    with np.load(source, allow_pickle=False) as arrays:
        facts = json.loads(str(arrays["facts"]))
        return {view: _view_values(arrays, view, metrics) for view, metrics in facts.items()}


def _view_values(arrays: Any, view: str, metrics: Mapping[str, int]) -> ViewValues:
    tables = {number: arrays[f"{view}/{number}"].astype(np.float64) for number in set(metrics.values())}
    patients, hospitals = (arrays[f"{view}/{name}"].astype(np.int64) for name in ("patients", "hospitals"))
    return ViewValues(patients, hospitals, {metric: tables[number] for metric, number in metrics.items()})


def _wrong(values: ViewValues, view: str, result: Result) -> str:
    """What is wrong with the values of a view: they must have one row per study and give the committed scores."""
    from fedmrg_core.metrics import per_study

    n = values.patients.size
    for numbers in (values.patients, values.hospitals):
        if numbers.shape != (n,) or not n or not 0 <= numbers.min() <= numbers.max() < n:
            return f"{view} has not one patient and one hospital per study"
    for metric, rows in values.rows.items():
        combine = per_study.combine_of(find(metric))
        score = result["scores"].get(f"{view}/{metric}")
        if rows.ndim != 2 or len(rows) != n or not np.isfinite(rows).all():
            return f"{view}/{metric} has not one row of finite counts per study"
        if combine is None or score is None:
            continue
        if abs(float(combine(rows.sum(0))) - score["value"]) > CLOSE:
            return f"does not give the result's {view}/{metric}: make both again"
    return ""
