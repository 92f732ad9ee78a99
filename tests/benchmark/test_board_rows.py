"""The rows of a board: means over draws, with intervals from per-study values or from the scores' own intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmark.board.boards import boards
from benchmark.board.differences import differences
from benchmark.board.rows import ValuesOf
from benchmark.board.study_values import ViewValues

VIEW = "test/personal"
KEY, WORST = f"{VIEW}/ce_f1_micro14", f"{VIEW}/worst_ce_f1_micro14"


def counted(hits: dict[str, Sequence[int]], hospitals: Sequence[int] | None = None) -> ValuesOf:
    """Per-study values by algorithm: each of n patients has one study with a positive finding, found or missed."""

    def values_of(result: dict) -> dict[str, ViewValues]:
        found = np.array(hits[result["algorithm"]], dtype=float)
        rows = np.zeros((len(found), 42))
        rows[:, 0], rows[:, 28] = found, 1 - found  # hits and misses of the first condition
        places = np.array(hospitals or [0] * len(found))
        return {VIEW: ViewValues(np.arange(len(found)), places, {"ce_f1_micro14": rows})}

    return values_of


def test_a_single_draw_has_the_interval_of_its_score(make_result):
    (board,) = boards([make_result(value=0.5)])
    found = board.rows[0].estimates[KEY]
    assert (found.value, found.draws) == (0.5, 1)
    assert (found.low, found.high) == pytest.approx((0.45, 0.55), abs=1e-3)


def test_an_interval_over_draws_spans_their_spread_and_their_patients(make_result):
    (board,) = boards([make_result(seed=seed, value=value) for seed, value in enumerate((0.3, 0.5, 0.7))])
    found = board.rows[0].estimates[KEY]
    assert (found.value, found.draws) == (pytest.approx(0.5), 3)
    # each extreme draw twice has the chance 1/9, so the ends are within the own intervals of .3 and .7
    assert 0.25 < found.low < 0.32
    assert 0.68 < found.high < 0.75


def test_seeds_of_one_draw_count_once(make_result):
    def result(seed: int, draw: int, value: float):
        made = make_result(seed=seed, value=value)
        return {**made, "provenance": {**made["provenance"], "data_sha256": f"d{draw}"}}

    (board,) = boards([result(0, 0, 0.2), result(3, 0, 0.4), result(1, 1, 0.5)])
    (row,) = board.rows
    found = row.estimates["test/global/bleu4"]
    assert (row.seeds, row.draws, found.draws) == ((0, 1, 3), 2, 2)
    assert found.value == pytest.approx(0.4)  # (.3 + .5) / 2, not the mean of three seeds


def test_no_interval_leaves_the_possible_values(make_result):
    # values .02 and .10: a t interval would be -.45 to .57
    (board,) = boards([make_result(seed=0, value=0.02), make_result(seed=1, value=0.10)])
    found = board.rows[0].estimates["test/global/bleu4"]
    assert found.low == 0.0
    assert found.high < 0.15


def test_a_score_that_no_run_has_gives_no_estimate(make_result):
    (board,) = boards([make_result()])
    assert "test/personal/wrong_side" not in board.rows[0].estimates


def test_intervals_come_from_the_counts_of_patients_where_there_are_any(make_result):
    # 20 of 40 findings found: F1 2/3; over patients the share has the standard error .079, so F1 about .071
    hits = [1, 0] * 20
    (board,) = boards([make_result(value=2 / 3)], counted({"fedmrg": hits}))
    (row,) = board.rows
    found = row.estimates[KEY]
    assert row.counted
    assert 0.47 < found.low < 0.55
    assert 0.77 < found.high < 0.83
    assert not boards([make_result()])[0].rows[0].counted


def test_differences_are_paired_by_patient(make_result):
    hits = [1, 0, 0, 0] * 10
    better = [1, 1, 0, 0] * 10
    results = [make_result(name, value=value) for name, value in (("a", 0.4), ("same", 0.4), ("better", 2 / 3))]
    values = counted({"a": hits, "same": hits, "better": better})
    (board,) = boards(results, values)
    rows = {row.algorithm: row for row in board.rows}
    found = differences(board.rows, rows["a"], KEY)
    assert (found["same"].low, found["same"].high, found["same"].p_holm) == (0.0, 0.0, 1.0)
    assert found["better"].value == pytest.approx(2 / 3 - 0.4)
    assert found["better"].low > 0.1
    assert found["better"].p_holm == pytest.approx(2 * 2 / 2001)
    own = rows["better"].estimates[KEY]
    assert own.low < rows["a"].estimates[KEY].high, "unpaired, the two intervals overlap"


def test_equal_views_have_equal_intervals(make_result):
    values_of = counted({"fedmrg": [1, 0] * 20})
    (board,) = boards([make_result()], lambda result: values_of(result) | {"test/global": values_of(result)[VIEW]})
    found = board.rows[0].resampled
    assert all(np.array_equal(found[KEY][name], found["test/global/ce_f1_micro14"][name]) for name in found[KEY])
    assert not np.array_equal(*(next(iter(found[key].values())) for key in (KEY, "unseen/global/ce_f1_micro14")))


def test_seeds_on_the_same_data_share_their_patients_whatever_their_base(make_result):
    """Two seeds of equal scores are no more patients than one."""

    def result(seed: int):
        made = make_result(seed=seed)
        return {**made, "provenance": {**made["provenance"], "data_sha256": "real", "model_sha256": f"base {seed}"}}

    values = counted({"fedmrg": [1, 0] * 20})
    (alone,), (both,) = (boards([result(seed) for seed in seeds], values)[0].rows for seeds in ([0], [0, 1]))
    assert (alone.draws, both.draws) == (1, 2)
    one, two = (row.estimates[KEY] for row in (alone, both))
    assert (one.low, one.high) == (two.low, two.high)


def test_the_worst_hospital_is_taken_in_each_resample(make_result):
    hits = [1] * 30 + [1, 0] * 15
    (board,) = boards([make_result(value=0.85)], counted({"fedmrg": hits}, hospitals=[0] * 30 + [1] * 30))
    worst = board.rows[0].resampled[WORST]
    assert max(spread.max() for spread in worst.values()) < 1.0, "the first hospital's F1 is 1 in each resample"
    assert board.rows[0].estimates[WORST].high < 0.85


def test_the_range_of_chance_does_not_grow_with_the_spread_of_draws(make_result):
    def result(seed: int, value: float):
        made = make_result(seed=seed)
        by_chance = {"value": value, "low": value - 0.1, "high": value + 0.1, "version": "1"}
        return {**made, "scores": {**made["scores"], "test/personal/shuffled_worst_ce_f1_micro14": by_chance}}

    (board,) = boards([result(seed, value) for seed, value in enumerate((0.2, 0.5, 0.8))])
    found = board.rows[0].estimates["test/personal/shuffled_worst_ce_f1_micro14"]
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.5 - 0.1 / 3**0.5, 0.5 + 0.1 / 3**0.5), abs=0.01)
