"""The rows that read no film."""

from __future__ import annotations

import pytest

from fedmrg_core.algorithms import trivial
from fedmrg_core.algorithms.trivial import (
    Commonest,
    Constant,
    ConstantBleu,
    RandomTrain,
    Untrained,
    best_by_bleu,
    commonest,
)
from fedmrg_core.metrics.nlg import overlap_measures, tokenise
from fedmrg_core.seeding import generator

CORPUS = {"h01": ["clear", "effusion", "clear"], "h02": ["effusion", "effusion", "edema", "effusion"]}


def test_commonest_takes_the_first_of_equally_frequent_reports_in_alphabetical_order() -> None:
    assert commonest(["b", "a", "b", "a", "c"]) == "a"
    assert commonest(["b", "a", "b"]) == "b"


def test_constant_is_one_report_everywhere() -> None:
    for hospital in ("h01", "h02", "h09"):
        assert Constant().replies(CORPUS, hospital, 2, generator(0)) == ["effusion"] * 2


def test_the_report_of_highest_training_bleu_is_the_one_that_scoring_every_pair_finds() -> None:
    words, rng = ["heart", "lungs", "clear", "no", "effusion", "normal"], generator(0)
    reports = [" ".join(rng.choice(words, size=int(rng.integers(4, 9)))) + "." for _ in range(40)]
    reports += reports[:5]

    def bleu(report: str) -> float:
        pairs = tokenise([(other, report) for other in reports], "r2gen")
        (measure,) = [found for found in overlap_measures(pairs, [0] * len(pairs)) if found.name == "bleu4"]
        return float(measure.combine(measure.rows.sum(0)))

    assert best_by_bleu(reports) == max(sorted(set(reports)), key=bleu)
    assert best_by_bleu([]) == ""


def test_constant_bleu_is_one_report_everywhere_and_needs_not_be_the_commonest() -> None:
    # "clear lungs ." is the commonest, but shares no word with the other four, which all begin alike
    corpus = {"h01": ["clear lungs."] * 2, "h02": [f"small right pleural effusion with {x}." for x in "abcd"]}
    for hospital in ("h01", "h09"):
        (report,) = ConstantBleu().replies(corpus, hospital, 1, generator(0))
        assert report == "small right pleural effusion with a."


def test_of_many_reports_equally_spaced_ones_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trivial, "MOST_REPORTS", 2)
    assert best_by_bleu(["a b c d", "e f g h", "a b c d", "e f g h", "e f g h"]) == "a b c d"  # rows 0 and 3: a tie


def test_commonest_is_the_hospitals_own_and_the_constant_where_nothing_was_seen() -> None:
    answers = [Commonest().replies(CORPUS, hospital, 1, generator(0)) for hospital in ("h01", "h02", "h09")]
    assert answers == [["clear"], ["effusion"], ["effusion"]]


def test_random_train_draws_the_hospitals_own_reports_from_its_generator() -> None:
    drawn = RandomTrain().replies(CORPUS, "h01", 50, generator(0))
    assert set(drawn) == {"clear", "effusion"}
    assert drawn == RandomTrain().replies(CORPUS, "h01", 50, generator(0))
    assert set(RandomTrain().replies(CORPUS, "h09", 200, generator(1))) == {"clear", "effusion", "edema"}


def test_untrained_leaves_the_report_to_the_model_and_runs_no_round() -> None:
    assert Untrained().replies(CORPUS, "h01", 1, generator(0)) is None
    assert not any(cls.trains for cls in (Constant, ConstantBleu, Commonest, RandomTrain, Untrained))
