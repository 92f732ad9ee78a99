"""RadGraph F1, BERTScore and the rest of RadEval (Xu et al., EMNLP 2025), for users who have installed the extra.

    pip install 'fedmrg[radeval]'
    fedmrg score outputs.csv --radeval radgraph,bertscore
    evaluator(["radgraph", "bertscore"])(references, hypotheses)      # [SumMeasure("radeval_radgraph_simple", ..), ..]

The package is imported only when a user asks for it. At its first use it fetches its models from its own hosts; this
project downloads nothing by itself. Written for RadEval 2.2 (`from radeval import RadEval`).
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

import numpy as np

from fedmrg_core.errors import FedMRGError, choose, first_line
from fedmrg_core.metrics.catalogue import RADEVAL, find
from fedmrg_core.metrics.stats import SumMeasure, mean_measure

METRICS: tuple[str, ...] = (
    "radgraph", "bertscore", "radeval_bertscore", "ratescore", "radcliq", "radgraph_radcliq", "srrbert", "temporal",
    "green",
)  # fmt: skip
"""RadEval's metrics that give a value per report and run locally (for CheXbert: `labeler=chexbert`)."""
INSTALL = "RadEval is not installed: `pip install 'fedmrg[radeval]'` (some 45 more packages)"


@dataclass(frozen=True)
class Evaluator:
    """RadEval with some of its metrics loaded: `evaluator(references, hypotheses)` gives one measure per result."""

    scorer: Any
    metrics: tuple[str, ...]
    version: str

    def __call__(self, references: Sequence[str], hypotheses: Sequence[str]) -> list[SumMeasure]:
        """RadEval's scores of n report pairs, each the mean of its values per report, named `radeval_<its name>`.
        Raises FedMRGError with RadEval's message if it fails."""
        with warnings.catch_warnings():
            try:
                result: Mapping[str, Any] = self.scorer(refs=list(references), hyps=list(hypotheses))
            except Exception as error:  # a hub client may raise anything: the user needs the reason and the remedy
                raise _failed(self.metrics, error) from error
        return [
            mean_measure(key, np.array(values, dtype=np.float64), self.version, find(key).higher_is_better)
            for name, values in result.items()
            if isinstance(values, list) and len(values) == len(references)
            for key in [RADEVAL + name]
        ]


def evaluator(metrics: Sequence[str]) -> Evaluator:
    """RadEval with these metrics. Their models are loaded now, and fetched first if they were never used.

    Raises:
        FedMRGError: an unknown metric, RadEval not installed, or its weights missing (with its message).
    """
    for metric in metrics:
        choose("RadEval metric", metric, METRICS)
    with warnings.catch_warnings():  # RadEval silences every warning of the process
        try:
            package = importlib.import_module("radeval")
        except ImportError as error:
            raise FedMRGError(INSTALL if error.name == "radeval" else f"RadEval cannot be imported: {error}") from error
        try:
            scorer = package.RadEval(metrics=list(metrics), per_sample=True, show_progress=False)
        except Exception as error:
            raise _failed(metrics, error) from error
    try:
        release = installed("radeval")
    except PackageNotFoundError:
        release = "of unknown version"
    return Evaluator(scorer, tuple(metrics), f"radeval {release}")


def _failed(metrics: Sequence[str], error: Exception) -> FedMRGError:
    reason = first_line(error).rstrip(".")
    remedy = (
        "It fetches model weights at first use: run it once with network access, or put the weights into its cache "
        "(HF_HOME)."
    )
    if isinstance(error, ImportError):
        remedy = "Install the whole extra: `pip install 'fedmrg[radeval]'`."
    return FedMRGError(f"RadEval could not score {', '.join(metrics)}: {reason}. {remedy}")
