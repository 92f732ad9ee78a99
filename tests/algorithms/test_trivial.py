"""The rows that read no film."""

from __future__ import annotations

from fedmrg_core.algorithms.trivial import Commonest, Constant, RandomTrain, Untrained, commonest
from fedmrg_core.seeding import generator

CORPUS = {"h01": ["clear", "effusion", "clear"], "h02": ["effusion", "effusion", "edema", "effusion"]}


def test_commonest_takes_the_first_of_equally_frequent_reports_in_alphabetical_order() -> None:
    assert commonest(["b", "a", "b", "a", "c"]) == "a"
    assert commonest(["b", "a", "b"]) == "b"


def test_constant_is_one_report_everywhere() -> None:
    for hospital in ("h01", "h02", "h09"):
        assert Constant().replies(CORPUS, hospital, 2, generator(0)) == ["effusion"] * 2


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
    assert not any(cls.trains for cls in (Constant, Commonest, RandomTrain, Untrained))
