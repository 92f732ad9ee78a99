"""What a board shows, and how a number is written."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.board.differences import Gap
from benchmark.board.results import Board, Cell

VIEWS = (
    (
        "test/personal",
        "Own hospitals, personal view",
        "test studies of the hospitals that trained, each with its own model",
    ),
    ("test/global", "Own hospitals, global view", "the same studies, everybody with the shared model alone"),
    ("unseen/global", "Unseen hospitals", "hospitals that never took part, with the shared model"),
)
METRICS = (
    ("ce_f1_micro14", "CE F1 micro"),
    ("ce_f1_macro14", "CE F1 macro"),
    ("bleu4", "BLEU-4"),
    ("rougeL", "ROUGE-L"),
    ("worst_ce_f1_micro14", "CE F1, worst hospital"),
)
HEAD_METRICS = (
    ("ce_f1_micro14", "text: CE F1 micro"),
    ("head_f1_micro14", "head: F1 micro"),
    ("head_accuracy", "head: states named exactly"),
    ("head_auroc", "head: AUROC"),
)
HEAD_ABOUT = (
    "What the diagnosis head knew, against the data set's labels, beside what the report then said. A head above its "
    "text: the language model does not say what the encoder saw."
)
COST_TITLES = (
    ("upload_mb_round", "upload, MB a round"),
    ("upload_mb", "upload, MB in all"),
    ("train_seconds", "training, s"),
)
FORMALISATION = "this project's formalisation; the paper's equations are not public to us"
"""Stands beside FedMRG wherever it is ranked."""
INTERVALS = (
    "Numbers are means over seeds with 95 % t-intervals; where a row has one seed, its 95 % bootstrap interval over "
    "patients. Rows of fewer seeds than the others stand last: each seed is another draw. CE F1: clinical efficacy "
    "over the 14 CheXpert conditions, positives only, labels read from the text on both sides. Rows in italics read no "
    "film or were never trained: they show what a score is worth."
)


@dataclass(frozen=True)
class Titled:
    """An algorithm's name as it is shown, and whether the note on FedMRG belongs to it."""

    text: str
    noted: bool


def titled(algorithm: str) -> Titled:
    return Titled(algorithm, algorithm.split(" ")[0].split("-")[0] == "fedmrg")


def number(cell: Cell) -> str:
    """`.512`, as scores are written; costs have their own way (`cost`)."""
    return f"{cell.value:.3f}".replace("0.", ".", 1) if abs(cell.value) < 1 else f"{cell.value:.3f}"


def between(cell: Cell) -> str:
    """The interval, `.48 to .54`; empty where there is none."""
    if cell.low == cell.high:
        return ""
    return " to ".join(
        f"{end:.3f}".replace("0.", ".", 1) if abs(end) < 1 else f"{end:.3f}" for end in (cell.low, cell.high)
    )


DIFFERENCE_VIEWS = (VIEWS[0], VIEWS[2])
"""Views whose differences are shown; the global view adds nothing for algorithms without a personal one."""


def differences_about(name: str) -> str:
    """How the tables of differences are to be read."""
    return (
        f"Each row less {name}, seed by seed on the same draw of data and base: mean, 95 % t-interval, and p of the "
        "paired t-test after Holm's correction over the rows of a column. Few seeds see large differences only. "
        "`fedmrg compare A B` compares two runs of one seed study by study."
    )


def signed(gap: Gap) -> str:
    """`+.021`."""
    return _signed(gap.value)


def gap_between(gap: Gap) -> str:
    """`-.01 to +.05, p .21`."""
    p = "< .001" if gap.p_holm < 0.001 else f"{gap.p_holm:.3f}".replace("0.", ".", 1)
    return f"{_signed(gap.low)} to {_signed(gap.high)}, p {p}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:+.3f}"


def about(board: Board) -> str:
    """What all rows of a board share, in plain words."""
    return f"bench_version {board.bench_version}, setting {board.setting}, metrics {board.metrics}"


def cost(cell: Cell) -> str:
    return f"{cell.value:.1f}" if cell.value >= 10 else f"{cell.value:.2f}"
