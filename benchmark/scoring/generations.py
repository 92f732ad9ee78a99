"""How a run's generations become scores: the same for the run itself and for `fedmrg score --run`."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from benchmark.scoring.labelers import language_notes

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.run.settings import Config
    from fedmrg_core.data.cache.federation import Federation
    from fedmrg_core.metrics.scorecard import MeasureTexts, Scorecard

logger = logging.getLogger(__name__)


def score_generations(config: Config, federation: Federation, generations: pd.DataFrame, **changes: Any) -> Scorecard:
    """The scorecard of a run's generations, by its config; `changes` overrides arguments of `scorecard`."""
    from fedmrg_core.metrics.scorecard import scorecard

    evaluate = config.evaluate
    for note in language_notes({"reference": list(generations["reference"])}):
        logger.warning(note)
    reports = [federation.reports[row] for h in federation.hospitals if h.seen for row in h.rows["train"]]
    settings = {"labeler": evaluate.labeler, "weights": evaluate.weights, "resamples": evaluate.resamples}
    return scorecard(_with_truth(federation, generations), reports, **{**settings, "seed": config.run.seed, **changes})


def _with_truth(federation: Federation, generations: pd.DataFrame) -> pd.DataFrame:
    """With the column `truth` on phantom: what each film shows."""
    if federation.name != "phantom":
        return generations
    from fedmrg_core.data.phantom.truth import shown

    known = shown(generations["study_id"])
    return generations.assign(truth=generations["study_id"].map(known)) if known else generations


def meteor_ready(config: Config, federation: Federation) -> AbstractContextManager[None]:
    """METEOR made ready, while a run trains, for the words of the references that will be scored."""
    from fedmrg_core.metrics.java import made_ready

    scored = ("val", "test") if "val" in config.evaluate.parts else ("test",)
    return made_ready(federation.reports[r] for h in federation.hospitals for part in scored for r in h.rows[part])


def radeval_metrics(names: str) -> MeasureTexts | None:
    """RadEval with the metrics of a comma-separated list, loaded before anything is scored; None for no names."""
    if not names:
        return None
    from fedmrg_core.metrics.radeval import evaluator

    return evaluator([name.strip() for name in names.split(",") if name.strip()])
