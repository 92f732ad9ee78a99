"""`verbatim`: the share of generations that are in the training reports word for word (white space and case aside)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmrg_core.metrics.catalogue import Reports, metric


@metric(
    "verbatim",
    title="copied training reports",
    version="1",
    group="diversity",
    higher_is_better=False,
    worst=False,  # diversity is neither good nor bad by itself
    tables=(),
    lowest=0.0,
    highest=1.0,
)
def verbatim(reports: Reports) -> npt.NDArray[np.float64] | None:
    """[n]: 1 where a generation is one of the training reports; None where these are not known."""
    if reports.train_reports is None:
        return None
    known = {" ".join(report.lower().split()) for report in reports.train_reports}
    return np.array([float(" ".join(text.lower().split()) in known) for text in reports.hypotheses])
