"""Differences of rows from the reference row."""

from __future__ import annotations

import pytest

from benchmark.board.boards import boards
from benchmark.board.differences import differences, indistinguishable, reference


def test_differences_are_taken_draw_by_draw_and_corrected_over_rows(make_result):
    values = {"fedavg": (0.1, 0.2, 0.3), "fedmrg": (0.2, 0.4, 0.6), "fedprox": (0.1, 0.3, 0.2)}
    results = [make_result(name, seed=s, value=v) for name, row in values.items() for s, v in enumerate(row)]
    (board,) = boards([*results, make_result("constant", seed=0, value=0.05)])
    found = differences(board.rows, reference(board), "test/personal/ce_f1_micro14")
    assert set(found) == {"fedmrg", "fedprox", "constant"}
    assert found["fedmrg"].value == pytest.approx(0.2)
    assert found["fedmrg"].low > 0
    assert 3 * 2 / 2001 <= found["fedmrg"].p_holm < 0.01, "the smallest p of 2,000 resamples is 2 / 2001; three rows"
    assert (found["fedmrg"].draws, found["fedprox"].p_holm > 0.5) == (3, True)
    assert found["constant"].draws == 1
    assert found["constant"].value == pytest.approx(-0.05)
    # one draw, and intervals of .05 on either side of both: .05 * sqrt(2) on either side of the difference
    assert found["constant"].high == pytest.approx(-0.05 + 0.05 * 2**0.5, abs=0.01)


def test_rows_without_common_draws_have_none(make_result):
    (board,) = boards([make_result(seed=0), make_result("fedprox", seed=1)])
    assert differences(board.rows, reference(board), "test/personal/bleu4") == {}


def test_without_fedavg_the_first_trained_row_is_the_reference(make_result):
    (board,) = boards([make_result("constant", value=0.9), make_result("fedprox", value=0.5), make_result(value=0.4)])
    assert reference(board).algorithm == "fedprox"


def test_rows_within_chance_of_the_first_are_named(make_result):
    # fedavg is .100, .101, .099 below, twice what patients make uncertain; fedprox .1, -.1, .03
    values = {"fedmrg": (0.5, 0.6, 0.7), "fedavg": (0.4, 0.499, 0.601), "fedprox": (0.4, 0.7, 0.67)}
    results = [make_result(name, seed=s, value=v) for name, row in values.items() for s, v in enumerate(row)]
    (board,) = boards([*results, make_result("fedlora", seed=0, value=0.5)])
    assert board.rows[0].algorithm == "fedmrg"
    assert indistinguishable(board, "test/personal/ce_f1_micro14") == ["fedprox"]
