"""The catalogue of metrics: what each is called, how it is shown, and how it is rebuilt from per-study values.

    find("worst_bleu4").title                 # "BLEU-4, worst hospital"
    [m.key for m in shown("board")]           # the columns of a board
    @metric("length_ratio", title="length ratio", version="1")     # adds one: docs/adding-a-metric.md

Families that share counts (BLEU, CE ..) are listed in `definitions.py`; single metrics are registered by `metric`, one
file each, in `fedmrg_core/metrics/registered`. Importing this module loads no numpy.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import inf

from fedmrg_core.errors import FedMRGError, choose
from fedmrg_core.metrics.definitions import Combine, Compute, Metric, Reports, families
from fedmrg_core.registration import import_files

__all__ = ["Metric", "Reports", "find", "group", "metric", "metrics", "registered", "shown"]

TABLES = ("run", "board", "head", "text", "conditions", "compare", "hospitals")
"""Where a metric can be shown: a run's score table; a board; a board's tables of the diagnosis head, of what the
reports are like, and of the conditions; `fedmrg compare` without --metric; the hospitals of `fedmrg score`."""
RANKED_BY = "test/personal/ce_f1_micro14"
"""The score that orders the rows of a board."""
PREFIXES = {
    "worst_": "{}, worst hospital",
    "shuffled_worst_": "{}, worst by chance",
    "mean_": "{}, mean of hospitals",
    "spread_": "{}, best less worst hospital",
}
"""Prefixes of scores over hospitals, each with its title."""
ADAPTED = "adapted"
"""Views of unseen hospitals after few-shot adaptation: this and the number of studies."""
RADEVAL = "radeval_"
"""Prefix of RadEval's metrics, whose names are known only when RadEval runs."""
_RADEVAL_LOWER_IS_BETTER = ("radcliq_v1",)


@dataclass(frozen=True)
class View:
    """Which studies, and by which model: `key` starts the keys of scores. differences: whether boards show the
    differences from the reference row."""

    key: str
    title: str
    long_title: str
    meaning: str
    differences: bool = True


VIEWS = (
    View(
        "test/personal",
        "personal",
        "Own hospitals, personal view",
        "test studies of the hospitals that trained, each with its own model",
    ),
    View(
        "test/global",
        "global",
        "Own hospitals, global view",
        "the same studies, all with the shared model",
        differences=False,  # equal to the personal view for algorithms without personal parameters
    ),
    View(
        "unseen/global",
        "unseen hospitals",
        "Unseen hospitals",
        "studies of hospitals that took no part in training, with the shared model",
    ),
)


def metric(
    key: str,
    title: str,
    version: str,
    group: str = "other",
    convention: str = "",
    higher_is_better: bool = True,
    worst: bool = True,
    tables: tuple[str, ...] = ("run", "board", "compare"),
    worst_tables: tuple[str, ...] = (),
    lowest: float = -inf,
    highest: float = inf,
    combine: Combine | None = None,
) -> Callable[[Compute], Compute]:
    """Register a function from `Reports` to values [n] or counts [n, k] as a metric; arguments as in `Metric`.

    version: raised when the function changes its values. combine: of summed counts; default: first over second.

    Raises:
        FedMRGError: the key is taken or no plain name, or a table is unknown.
    """
    for table in (*tables, *worst_tables):
        choose("table", table, TABLES, FedMRGError)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key) or key.startswith((*PREFIXES, RADEVAL)):
        raise FedMRGError(f"metric key '{key}': letters, digits and _ only, without the prefix of another group")
    if key in families() or key in _REGISTERED:
        raise FedMRGError(f"metric '{key}' exists already")

    def register(compute: Compute) -> Compute:
        places = worst, tables, worst_tables, lowest, highest
        known = Metric(key, title, group, convention, higher_is_better, "counts", True, *places)
        _REGISTERED[key] = replace(known, version=f"{key} {version}", compute=compute, combine=combine)
        return compute

    return register


_REGISTERED: dict[str, Metric] = {}


def metrics() -> dict[str, Metric]:
    """Every metric by its key, in the order of tables; RadEval's are not among them."""
    return families() | {found.key: found for found in registered()}


def registered() -> list[Metric]:
    """The metrics that files in `registered/` and other importers of `metric` have added."""
    _import_registered()
    return list(_REGISTERED.values())


def find(name: str) -> Metric:
    """The metric of a score's name, which may have one of `PREFIXES`; part, view and hospital before it are ignored.
    A name that the catalogue does not know (RadEval's, or of another version) is its own title.

    >>> find("test/personal/worst_ce_f1_micro14").title
    'CE F1 micro, worst hospital'
    >>> find("bleu4_ptb").convention, find("spread_bleu4").higher_is_better
    ('ptb', False)
    """
    last = name.rpartition("/")[2]
    known = metrics().get(last)
    if known is not None:
        return known
    for prefix, title in PREFIXES.items():
        if last.startswith(prefix):
            inner = find(last.removeprefix(prefix))
            better = inner.higher_is_better and prefix != "spread_"
            return replace(
                inner, key=last, title=title.format(inner.title), higher_is_better=better, prefix=prefix, tables=()
            )
    if last.startswith(RADEVAL):
        own = last.removeprefix(RADEVAL)
        better = own not in _RADEVAL_LOWER_IS_BETTER
        return Metric(last, own, "radeval", higher_is_better=better, lowest=-inf, highest=inf)
    return Metric(last, last, "other", lowest=-inf, highest=inf)


def shown(table: str) -> list[Metric]:
    """The metrics of one of `TABLES`, in order; those of the worst hospital last.

    >>> [metric.key for metric in shown("compare")][:3]
    ['ce_f1_micro14', 'ce_f1_macro14', 'bleu4']
    """
    choose("table", table, TABLES, FedMRGError)
    found = list(metrics().values())
    prefixes = ("worst_", "shuffled_worst_")
    worst = [find(f"{prefix}{metric.key}") for metric in found if table in metric.worst_tables for prefix in prefixes]
    return [metric for metric in found if table in metric.tables] + worst


def group(name: str) -> list[Metric]:
    """The metrics of a group, in order."""
    return [metric for metric in metrics().values() if metric.group == name]


@cache
def _import_registered() -> None:
    import_files("fedmrg_core.metrics.registered")
