"""RadGraph F1, BERTScore and the rest of RadEval (Xu et al., EMNLP 2025), where a user has installed the extra.

    pip install 'fedmrg[radeval]'
    radeval.scores(references, hypotheses, ["radgraph", "bertscore"])   # {"radgraph_simple": 0.41, ..}

The package is imported only here and only when asked for; its models are fetched by it, at its first use, from its
own hosts: this project never does so by itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedmrg_core.errors import FedMRGError, choose

METRICS: tuple[str, ...] = (
    "radgraph", "bertscore", "radeval_bertscore", "chexbert", "ratescore", "radcliq", "srr_bert", "temporal", "green",
)  # fmt: skip
INSTALL = "RadEval is not installed: `pip install 'fedmrg[radeval]'` (about 130 packages: best in its own environment)"


def scores(references: Sequence[str], hypotheses: Sequence[str], metrics: Sequence[str]) -> dict[str, float]:
    """RadEval's corpus scores of n report pairs, by its own names.

    Raises:
        FedMRGError: an unknown metric; RadEval absent; or its weights missing, with what it said.
    """
    for metric in metrics:
        choose("RadEval metric", metric, METRICS)
    try:
        package = importlib.import_module("RadEval")
    except ImportError as error:
        raise FedMRGError(INSTALL if error.name == "RadEval" else f"RadEval cannot be imported: {error}") from error
    try:
        evaluator = package.RadEval(**{f"do_{metric}": True for metric in metrics})
        result = evaluator(refs=list(references), hyps=list(hypotheses))
    except Exception as error:  # whatever a hub client raises: the user needs the reason and the remedy
        raise FedMRGError(
            f"RadEval could not score {', '.join(metrics)}: {error}. It fetches model weights at first use: run it "
            "once with network access, or put the weights into its cache (HF_HOME)."
        ) from error
    return dict(_flat(result))


def _flat(result: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in result.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}_")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)
