"""A metric that is registered in one file has a column on the boards, and older results stay beside newer ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmark.board.boards import boards
from benchmark.board.render import pages
from benchmark.board.schema import possible_range, problem
from fedmrg_core.metrics import catalogue
from tests.pages import code_block

KEY = "test/personal/length_ratio"


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of docs/adding-a-metric.md is registered while a test runs."""
    catalogue.registered()
    monkeypatch.setattr(catalogue, "_REGISTERED", dict(catalogue._REGISTERED))
    exec(compile(code_block("adding-a-metric.md", "python"), "length_ratio.py", "exec"), {})


def test_a_board_shows_it_where_a_result_has_it(make_result: Callable[..., dict[str, Any]]) -> None:
    old, new = make_result("fedavg"), make_result("fedprox")
    ratio = {**new["scores"]["test/global/bleu4"], "value": 1.234, "low": 1.0, "high": 2.0}
    new["scores"] |= {f"{view}/length_ratio": ratio for view in ("test/personal", "test/global")}
    assert not problem(new)
    (board,) = boards([old, new])
    assert {row.algorithm for row in board.rows} == {"fedavg", "fedprox"}
    assert any("length ratio" in page and "1.234" in page for page in pages([board]).values())


def test_its_values_have_the_range_that_its_file_says() -> None:
    assert possible_range(KEY) == (float("-inf"), float("inf"))
    catalogue.metric("share", title="share", version="1", lowest=0.0, highest=1.0)(lambda reports: None)
    assert possible_range("test/global/worst_share") == (0.0, 1.0)
    assert possible_range("test/global/spread_cider_ptb") == (0.0, 10.0)
