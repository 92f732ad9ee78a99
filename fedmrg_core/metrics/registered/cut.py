"""`cut`: the share of reports that the length cap (`max_tokens`) ended, not the model. Reports that no model wrote have
no such score."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedmrg_core.metrics.catalogue import Reports, metric


@metric(
    "cut",
    title="cut off at the length cap",
    version="1",
    group="diversity",
    higher_is_better=False,
    worst=False,
    tables=("run", "text"),
    lowest=0.0,
    highest=1.0,
)
def cut(reports: Reports) -> npt.NDArray[np.float64] | None:
    """[n]: 1 where a report was cut off."""
    return reports.cut
