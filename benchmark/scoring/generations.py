"""How reports become scores and files of scores: the same for a run itself and for `fedmrg score`."""

from __future__ import annotations

import argparse
import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.run.settings import Config
from benchmark.scoring.report_table import replacing

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.data.cache.federation import Federation
    from fedmrg_core.metrics.scorecard import Card, MeasureTexts

PER_STUDY = "per_study.parquet"


def score_generations(config: Config, federation: Federation, generations: pd.DataFrame, **changes: Any) -> Card:
    """The scorecard of a run's generations, as its config says; `changes` overrides arguments of `full_scorecard`."""
    from fedmrg_core.metrics.scorecard import full_scorecard

    evaluate = config.evaluate
    reports = [federation.reports[row] for h in federation.hospitals if h.seen for row in h.rows["train"]]
    settings = {"labeler": evaluate.labeler, "weights": evaluate.weights, "resamples": evaluate.resamples}
    return full_scorecard(generations, reports, **{**settings, "seed": config.run.seed, **changes})


def meteor_ready(config: Config, federation: Federation) -> AbstractContextManager[None]:
    """METEOR made ready, while a run trains, for the words of the references that will be scored."""
    from fedmrg_core.metrics.java import made_ready

    scored = ("val", "test") if "val" in config.evaluate.parts else ("test",)
    return made_ready(federation.reports[r] for h in federation.hospitals for part in scored for r in h.rows[part])


def check_labeler(config: Config) -> None:
    """Raises ConfigError or DataError, before any training, where the config's labeler cannot be had."""
    from fedmrg_core.metrics.scorecard import labeler_of

    evaluate = config.evaluate
    labeler_of(evaluate.labeler, evaluate.weights)


def save_per_study(table: pd.DataFrame, path: Path) -> None:
    """Write a per-study table (`fedmrg_core.metrics.per_study`) as Parquet, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        table.to_parquet(temporary, index=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def extra_metrics(names: str) -> MeasureTexts | None:
    """RadEval with the metrics of a comma-separated list, loaded before anything is scored; None for none."""
    if not names:
        return None
    from fedmrg_core.metrics.radeval import evaluator

    return evaluator([name.strip() for name in names.split(",") if name.strip()])


def write_outputs(args: argparse.Namespace, content: object, card: Card) -> None:
    """The files that --json and --per-study ask for."""
    if args.json:
        with replacing(args.json) as stream:
            stream.write(json.dumps(content, indent=1, allow_nan=False) + "\n")
        print(f"\nall scores: {args.json}")
    if args.per_study:
        save_per_study(card.per_study, args.per_study)
        print(f"per study: {args.per_study}")
