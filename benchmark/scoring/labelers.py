"""Which labeler reads the reports: the options of `score` and `label`, and the check of a run's setting."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.run.settings import Config


def labeler_options(parser: argparse.ArgumentParser) -> None:
    """--labeler and --weights."""
    parser.add_argument("--labeler", default="", help="rules, or chexbert with --weights (default: rules)")
    parser.add_argument("--weights", default="", metavar="PATH", help="CheXbert's checkpoint; vocab.txt in its folder")


def check_labeler(config: Config) -> None:
    """Raises ConfigError or DataError, before any training, where the config's labeler cannot be loaded."""
    from fedmrg_core.metrics.scorecard import labeler_of

    evaluate = config.evaluate
    labeler_of(evaluate.labeler, evaluate.weights)
