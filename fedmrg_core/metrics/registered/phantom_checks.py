"""On phantom, where it is known what each film shows: `wrong_side` (share of findings placed on another side than
drawn, of those placed on any), `wrong_size` (the same for severity), `contradiction` (share of reports that state a
condition in one sentence and deny it in another). CE F1 sees none of them. Real data sets have no such truth, and no
such score."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from fedmrg_core.metrics.catalogue import Reports, metric
from fedmrg_core.metrics.stated import contradicts, counted, wrong_sides, wrong_sizes

_check = partial(
    metric,
    version="1",
    group="phantom",
    higher_is_better=False,
    worst=False,
    tables=("text",),
    lowest=0.0,
    highest=1.0,
)


@_check("wrong_side", title="wrong side")
def wrong_side(reports: Reports) -> npt.NDArray[np.float64] | None:
    """[n, 2]: findings on the wrong side, findings with a side; None where the truth is not known."""
    if reports.truth is None:
        return None
    return counted([wrong_sides(text, shown) for text, shown in zip(reports.hypotheses, reports.truth, strict=True)])


@_check("wrong_size", title="wrong severity")
def wrong_size(reports: Reports) -> npt.NDArray[np.float64] | None:
    """[n, 2]: findings of the wrong severity, findings with one; None where the truth is not known."""
    if reports.truth is None:
        return None
    return counted([wrong_sizes(text, shown) for text, shown in zip(reports.hypotheses, reports.truth, strict=True)])


@_check("contradiction", title="contradict themselves")
def contradiction(reports: Reports) -> npt.NDArray[np.float64] | None:
    """[n]: 1 where a report contradicts itself; None where the truth is not known: on a clinic's report, which may deny
    a finding on one side only, the rule is not exact."""
    if reports.truth is None:
        return None
    return np.array([float(contradicts(text)) for text in reports.hypotheses])
