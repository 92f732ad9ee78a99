"""`repeated`: the share of reports that say a sentence twice, word for word (case, punctuation and blanks aside)."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from fedmrg_core.metrics.catalogue import Reports, metric

_END = re.compile(r"[.!?;](?=\s|$)|\n")


def repeats(report: str) -> bool:
    """Whether a sentence occurs twice. A heading belongs to its sentence, so an impression may repeat a finding.

    >>> repeats("No effusion. Heart normal. no effusion."), repeats("No effusion. IMPRESSION: No effusion.")
    (True, False)
    """
    words = [" ".join(re.findall(r"[^\W_]+", sentence.lower())) for sentence in _END.split(report)]
    known = [sentence for sentence in words if sentence]
    return len(set(known)) < len(known)


@metric(
    "repeated",
    title="say a sentence twice",
    version="1",
    group="diversity",
    higher_is_better=False,
    worst=False,
    tables=("run", "text"),
    lowest=0.0,
    highest=1.0,
)
def repeated(reports: Reports) -> npt.NDArray[np.float64]:
    """[n]: 1 where a report says a sentence twice."""
    return np.array([float(repeats(report)) for report in reports.hypotheses])
