"""RadGraph F1, BERTScore and the rest of RadEval (Xu et al., EMNLP 2025), where a user has installed the extra.

    pip install 'fedmrg[radeval]'
    fedmrg score outputs.csv --radeval radgraph,bertscore
    evaluator(["radgraph", "bertscore"])(references, hypotheses)      # [SumMeasure("radeval_radgraph_simple", ..), ..]

The package is imported only here and only when asked for; its models are fetched by it, at its first use, from its
own hosts: this project never does so by itself. GenerationCache for RadEval 2.2 (`from radeval import RadEval`).
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

from fedmrg_core.errors import FedMRGError, choose
from fedmrg_core.metrics.stats import SumMeasure, mean_measure

METRICS: tuple[str, ...] = (
    "radgraph", "bertscore", "radeval_bertscore", "ratescore", "radcliq", "radgraph_radcliq", "srrbert", "temporal",
    "green",
)  # fmt: skip
"""RadEval's metrics that have a value for each report and run on one's own machine (CheXbert: `labeler=chexbert`)."""
PREFIX = "radeval_"
INSTALL = "RadEval is not installed: `pip install 'fedmrg[radeval]'` (some 45 more packages)"
_LOWER_IS_BETTER = ("radcliq_v1",)


@dataclass(frozen=True)
class Evaluator:
    """RadEval with some of its metrics, ready: `evaluator(references, hypotheses)` gives one measure a result."""

    scorer: Any
    metrics: tuple[str, ...]
    version: str

    def __call__(self, references: Sequence[str], hypotheses: Sequence[str]) -> list[SumMeasure]:
        """Every score of n report pairs: the mean over reports of RadEval's value for each, by RadEval's name behind
        `radeval_`. Raises FedMRGError where RadEval fails, with what it said."""
        with warnings.catch_warnings():
            try:
                result: Mapping[str, Any] = self.scorer(refs=list(references), hyps=list(hypotheses))
            except Exception as error:  # whatever a hub client raises: the user needs the reason and the remedy
                raise _failed(self.metrics, error) from error
        return [
            mean_measure(PREFIX + name, np.array(values, dtype=np.float64), self.version, name not in _LOWER_IS_BETTER)
            for name, values in result.items()
            if isinstance(values, list) and len(values) == len(references)
        ]


def evaluator(metrics: Sequence[str]) -> Evaluator:
    """RadEval with these metrics; it loads, and at its first use fetches, their models now.

    Raises:
        FedMRGError: an unknown metric; RadEval absent; or its weights missing, with what it said.
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
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    remedy = (
        "It fetches model weights at first use: run it once with network access, or put the weights into its cache "
        "(HF_HOME)."
    )
    if isinstance(error, ImportError):
        remedy = "Install the extra whole: `pip install 'fedmrg[radeval]'`."
    return FedMRGError(f"RadEval could not score {', '.join(metrics)}: {reason}. {remedy}")
