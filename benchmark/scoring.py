"""How a run's generations become its scores: the same for the run itself and for `fedmrg score --run`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config import Config

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.data.federation import Federation
    from fedmrg_core.metrics.scorecard import Card

PER_STUDY = "per_study.parquet"


def score_generations(config: Config, federation: Federation, generations: pd.DataFrame, **changes: Any) -> Card:
    """The scorecard of a run's generations, as its config says; `changes` overrides arguments of `full_scorecard`."""
    from fedmrg_core.metrics.scorecard import full_scorecard

    evaluate = config.part("evaluate")
    reports = [federation.reports[row] for h in federation.hospitals if h.seen for row in h.rows["train"]]
    settings = {"labeler": evaluate.labeler, "weights": evaluate.weights, "resamples": evaluate.resamples}
    return full_scorecard(generations, reports, **{**settings, "seed": config.seed, **changes})


def check_labeler(config: Config) -> None:
    """Raises ConfigError or DataError, before any training, where the config's labeler cannot be had."""
    from fedmrg_core.metrics.scorecard import labeler_of

    evaluate = config.part("evaluate")
    labeler_of(evaluate.labeler, evaluate.weights)


def save_per_study(table: pd.DataFrame, path: Path) -> None:
    """Write a per-study table (`fedmrg_core.metrics.per_study`) as Parquet, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        table.to_parquet(temporary, index=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
