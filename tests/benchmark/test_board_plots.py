"""Pictures of boards."""

from __future__ import annotations

from benchmark.board.boards import boards
from benchmark.board.plots import draw


def test_the_same_results_give_the_same_picture(tmp_path, make_result):
    (board,) = boards([make_result(), make_result("constant", value=0.1)])
    draw(board, tmp_path / "a.png")
    draw(board, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_name_is_no_formula(tmp_path, make_result):
    (board,) = boards([make_result(r"$\frac{$")])
    draw(board, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
