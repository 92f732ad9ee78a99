"""Which labeler reads the reports: the options of `score` and `label`, and the check of a run's setting."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.run.settings import Config


def labeler_options(parser: argparse.ArgumentParser) -> None:
    """--labeler and --weights."""
    parser.add_argument("--labeler", default="", help="rules (default) or chexbert with --weights; they read English")
    parser.add_argument("--weights", default="", metavar="PATH", help="CheXbert's checkpoint; vocab.txt in its folder")


def language_notes(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """A note for each named column of reports with texts that the labelers cannot read."""
    from fedmrg_core.metrics.labeler.language import not_english

    found = []
    for name, reports in columns.items():
        count = not_english(reports)
        if count:
            found.append(
                f"column {name}: {count} of {len(reports)} texts do not look English. The labelers read English only: "
                "their labels and clinical scores mean nothing for these"
            )
    return found


def check_labeler(config: Config) -> None:
    """Raises ConfigError or DataError, before any training, where the config's labeler cannot be loaded."""
    from fedmrg_core.metrics.scorecard import labeler_of

    evaluate = config.evaluate
    labeler_of(evaluate.labeler, evaluate.weights)
