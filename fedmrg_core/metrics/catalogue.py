"""The catalogue of metrics: what each is called, how it is shown, and how it is rebuilt from per-study values.

    find("worst_bleu4").title                 # "BLEU-4, worst hospital"
    [m.key for m in shown("board")]           # the columns of a board
    @metric("length_ratio", title="length ratio", version="1")     # adds one: docs/adding-a-metric.md

Families that share counts (BLEU, CE ..) are listed here; single metrics are registered by `metric`, one file each, in
`fedmrg_core/metrics/registered`. Importing this module loads no numpy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from typing import TYPE_CHECKING

from fedmrg_core.errors import FedMRGError, choose
from fedmrg_core.registration import import_files

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

TABLES = ("run", "board", "head", "compare", "hospitals")
"""Where a metric can be shown: a run's score table; a board; a board's table of the diagnosis head; `fedmrg compare`
without --metric; the hospitals of `fedmrg score`."""
RANKED_BY = "test/personal/ce_f1_micro14"
"""The score that orders the rows of a board."""
PREFIXES = {"worst_": "{}, worst hospital", "mean_": "{}, mean of hospitals", "spread_": "{}, best less worst hospital"}
"""Prefixes of scores over hospitals, each with its title."""
CIDER_HIGH = 10.0
"""CIDEr is ten times a mean of cosines."""
RADEVAL = "radeval_"
"""Prefix of RadEval's metrics, whose names are known only when RadEval runs."""
_RADEVAL_LOWER_IS_BETTER = ("radcliq_v1",)


@dataclass(frozen=True)
class Reports:
    """What a registered metric is computed from.

    references, hypotheses: n texts each. reference_states, hypothesis_states: [n, 14] `LabelState` integers read from
    these texts. train_reports: reports of the hospitals that trained; None where they are not known.
    """

    references: Sequence[str]
    hypotheses: Sequence[str]
    reference_states: npt.NDArray[np.int8]
    hypothesis_states: npt.NDArray[np.int8]
    train_reports: Sequence[str] | None = None


Compute = Callable[[Reports], "Floats | None"]
"""Values [n] (the corpus value is their mean) or counts [n, k] (it is `combine` of their sum); None: not computable."""
Combine = Callable[["Floats"], "Floats"]
"""Summed counts [.., k] to values [..]."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    key: its name in scores, without part and view. title: for tables. group: nlg, ce, head, diversity, radeval,
    other. convention: of text (r2gen, ptb, as written), "" where the text's form does not matter. rebuilt_from:
    what per-study files hold of it: "values" (the metric is their mean), "counts" (its own, combined by `combine`),
    or a family's "bleu counts", "meteor counts", "label states", "head states", "distinct codes". worst: whether a
    worst hospital and a spread make sense. lowest, highest: the possible values. tables: which of `TABLES` show it;
    worst_tables: which show its worst hospital. compute, combine: of a registered metric.
    """

    key: str
    title: str
    group: str
    convention: str = ""
    higher_is_better: bool = True
    rebuilt_from: str = "values"
    worst: bool = True
    tables: tuple[str, ...] = ()
    worst_tables: tuple[str, ...] = ()
    lowest: float = 0.0
    highest: float = 1.0
    version: str = ""
    compute: Compute | None = None
    combine: Combine | None = None
    prefix: str = ""

    @property
    def name(self) -> str:
        """The key without the suffix of its convention: `bleu4_ptb` is `bleu4` under `ptb`."""
        return self.key.removesuffix(f"_{self.convention}")

    @property
    def needs_java(self) -> bool:
        return self.convention == "ptb" or self.rebuilt_from == "meteor counts"


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
    if key in _built_in() or key in _REGISTERED:
        raise FedMRGError(f"metric '{key}' exists already")

    def register(compute: Compute) -> Compute:
        places = worst, tables, worst_tables, lowest, highest
        known = Metric(key, title, group, convention, higher_is_better, "counts", *places)
        _REGISTERED[key] = replace(known, version=f"{key} {version}", compute=compute, combine=combine)
        return compute

    return register


_REGISTERED: dict[str, Metric] = {}


def metrics() -> dict[str, Metric]:
    """Every metric by its key, in the order of tables; RadEval's are not among them."""
    return _built_in() | {found.key: found for found in registered()}


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
    worst = [find(f"worst_{metric.key}") for metric in found if table in metric.worst_tables]
    return [metric for metric in found if table in metric.tables] + worst


def group(name: str) -> list[Metric]:
    """The metrics of a group, in order."""
    return [metric for metric in metrics().values() if metric.group == name]


@cache
def _built_in() -> dict[str, Metric]:
    return {metric.key: metric for metric in (*_clinical(), *_heads(), *_overlap(), *_diversity())}


def _clinical() -> Iterator[Metric]:
    """`ce_{precision,recall,f1}_{micro14,macro14,micro5,macro5,example14}`, and with uncertain as positive (`_unc`)."""
    tables = {
        "ce_f1_micro14": ("run", "board", "head", "compare", "hospitals"),
        "ce_f1_macro14": ("run", "board", "compare"),
    }
    worst = {"ce_f1_micro14": ("run", "board")}
    averages = {"micro14": "micro", "macro14": "macro", "micro5": "micro of 5", "macro5": "macro of 5"}
    kinds = {"precision": "precision", "recall": "recall", "f1": "F1"}
    for suffix, with_uncertain in (("", ""), ("_unc", ", uncertain as positive")):
        for kind, title in kinds.items():
            for average, text in {**averages, "example14": "by study"}.items():
                key = f"ce_{kind}_{average}{suffix}"
                yield Metric(
                    key,
                    f"CE {title} {text}{with_uncertain}",
                    "ce",
                    rebuilt_from="label states",
                    tables=tables.get(key, ()),
                    worst_tables=worst.get(key, ()),
                )


def _heads() -> Iterator[Metric]:
    titles = {"f1_micro14": "head F1 micro", "accuracy": "head accuracy", "auroc": "head AUROC"}
    for name, title in titles.items():
        yield Metric(f"head_{name}", title, "head", rebuilt_from="head states", tables=("run", "head"))


def _overlap() -> Iterator[Metric]:
    """The text metrics under both conventions, then rouge-score's, which has its own tokenizer."""
    titles = {f"bleu{n}": f"BLEU-{n}" for n in (1, 2, 3, 4)}
    titles |= {"meteor": "METEOR", "rougeL": "ROUGE-L", "cider": "CIDEr"}
    rebuilt = {name: "bleu counts" for name in titles if name.startswith("bleu")} | {"meteor": "meteor counts"}
    tables: dict[str, tuple[str, ...]] = {"bleu4": ("run", "board", "compare", "hospitals")}
    tables |= {"meteor": ("run", "compare"), "rougeL": ("run", "board", "compare"), "cider": ("run", "compare")}
    for convention, suffix, said in (("r2gen", "", ""), ("ptb", "_ptb", ", PTB")):
        for name, title in titles.items():
            how, where = rebuilt.get(name, "values"), () if suffix else tables.get(name, ())
            top = CIDER_HIGH if name == "cider" else 1.0
            yield Metric(name + suffix, title + said, "nlg", convention, rebuilt_from=how, tables=where, highest=top)
    for name, title in {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeLsum": "ROUGE-Lsum"}.items():
        yield Metric(name, title, "nlg", "as written")


def _diversity() -> Iterator[Metric]:
    yield Metric("distinct", "distinct reports", "diversity", rebuilt_from="distinct codes", worst=False)


@cache
def _import_registered() -> None:
    import_files("fedmrg_core.metrics.registered")
