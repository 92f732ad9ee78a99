"""`nll`: how unlikely the reference is to the model, given the film, in nats per token of its tokenizer (end token
included). Lower is better; only models with one tokenizer compare. Reports that no model wrote have no such score."""

from __future__ import annotations

from math import inf

import numpy as np
import numpy.typing as npt

from fedmrg_core.metrics.catalogue import Reports, metric


@metric(
    "nll",
    title="NLL, nats per token",
    version="1",
    higher_is_better=False,
    tables=("run", "board", "compare"),
    lowest=0.0,
    highest=inf,
)
def nll(reports: Reports) -> npt.NDArray[np.float64] | None:
    """[n, 2]: nats and tokens of each reference."""
    return reports.nll
