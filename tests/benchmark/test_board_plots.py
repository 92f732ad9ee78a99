"""Pictures of boards."""

from __future__ import annotations

from benchmark.board.boards import boards
from benchmark.board.plots import board_picture


def test_the_same_results_give_the_same_picture(make_result):
    (board,) = boards([make_result(), make_result("constant", value=0.1)])
    assert board_picture(board) == board_picture(board)


def test_a_name_is_no_formula(make_result):
    (board,) = boards([make_result(r"$\frac{$")])
    assert board_picture(board).startswith(b"\x89PNG")
