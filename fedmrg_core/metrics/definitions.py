"""What a metric is, and the families of metrics that share counts: clinical efficacy, the diagnosis head, text overlap.
`catalogue.py` adds the registered ones and finds them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from fedmrg_core.types import CONDITIONS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

CIDER_HIGH = 10.0
"""CIDEr is ten times a mean of cosines."""
Shown = Mapping[str, tuple[str, int]]
"""What is drawn on a film: condition -> (side, severity). Sides are "left", "right", "both", and "" where the condition
has none; severities 0 (small or mild), 1 (moderate) and 2 (large or severe)."""


@dataclass(frozen=True)
class Reports:
    """What a registered metric is computed from.

    references, hypotheses: n texts each. reference_states, hypothesis_states: [n, 14] `LabelState` integers read from
    these texts. train_reports: reports of the hospitals that trained; None where they are not known. nll: [n, 2], of
    each reference its negative log-likelihood in nats given the film, and its tokens; 0, 0 where no model wrote the
    generation. cut: [n], 1 where the length cap ended the generation; NaN where no model wrote it. truth: what each
    study's film shows; None except on phantom.
    """

    references: Sequence[str]
    hypotheses: Sequence[str]
    reference_states: npt.NDArray[np.int8]
    hypothesis_states: npt.NDArray[np.int8]
    train_reports: Sequence[str] | None = None
    nll: Floats | None = None
    cut: Floats | None = None
    truth: Sequence[Shown] | None = None


Compute = Callable[[Reports], "Floats | None"]
"""Values [n] (the corpus value is their mean) or counts [n, k] (it is `combine` of their sum); None: not computable."""
Combine = Callable[["Floats"], "Floats"]
"""Summed counts [.., k] to values [..]."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    key: its name in scores, without part and view. title: for tables. group: nlg, ce, head, diversity, phantom (known
    only there), radeval, other. convention: of text (r2gen, ptb, as written), "" where the text's form does not
    matter. rebuilt_from: what per-study files hold of it: "values" (the metric is their mean), "counts" (its own,
    combined by `combine`), or a family's "bleu counts", "meteor counts", "label states", "head states", "distinct
    codes". by_hospital: whether each hospital has it too. worst: whether a worst hospital and a spread make sense.
    lowest, highest: the possible values. tables: which of `TABLES` show it; worst_tables: which show its worst
    hospital. compute, combine: of a registered metric.
    """

    key: str
    title: str
    group: str
    convention: str = ""
    higher_is_better: bool = True
    rebuilt_from: str = "values"
    by_hospital: bool = True
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


@cache
def families() -> dict[str, Metric]:
    """The metrics of all families by their keys, in the order of tables."""
    return {metric.key: metric for metric in (*_clinical(), *_conditions(), *_heads(), *_overlap(), *_diversity())}


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


def _conditions() -> Iterator[Metric]:
    for condition in CONDITIONS:
        yield Metric(
            condition_key(condition),
            f"CE F1 {condition}",
            "ce",
            rebuilt_from="label states",
            by_hospital=False,  # a condition is rare in a hospital's test part
            tables=("conditions",),
        )


def condition_key(condition: str) -> str:
    """The key of one condition's F1.

    >>> condition_key("Pleural Effusion")
    'ce_f1_pleural_effusion'
    """
    return f"ce_f1_{condition.lower().replace(' ', '_')}"


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
    yield Metric(
        "distinct", "distinct reports", "diversity", rebuilt_from="distinct codes", worst=False, tables=("run", "text")
    )
