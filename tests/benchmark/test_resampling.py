"""Intervals over draws and patients."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.board.resampling import (
    RESAMPLES,
    Patients,
    about,
    interval,
    over_draws,
    p_value,
    shares,
    summed,
)
from benchmark.board.study_values import ViewValues
from fedmrg_core.errors import DataError
from fedmrg_core.metrics.stats import ratio


def view(patients: list[int], hospitals: list[int] | None = None) -> ViewValues:
    return ViewValues(np.array(patients), np.array(hospitals or [0] * len(patients)), {})


@pytest.mark.parametrize(
    ("draws", "spread", "least", "most"), [(3, 1.0, 0.94, 1.0), (3, 8.0, 0.7, 0.88), (5, 2.0, 0.9, 1.0)]
)
def test_intervals_cover_the_truth_as_often_as_the_docs_say(draws, spread, least, most):
    """Draws differ from 0 with the standard deviation `spread`; the mean over a draw's 50 patients is off by 1."""
    n, trials, rng, patients = 50, 120, np.random.default_rng(0), Patients()
    values = view(list(range(n)))
    hospitals = {f"draw {k}": patients.of(f"draw {k}", "test", values) for k in range(draws)}
    covered = 0
    for _ in range(trials):
        found = {}
        for name, own in hospitals.items():
            scores = spread * rng.standard_normal() + np.sqrt(n) * rng.standard_normal(n)
            rows = np.stack([scores, np.ones(n)], axis=1)
            found[name] = ratio(summed(rows, own).sum(0))
        low, high = interval(over_draws(found))
        covered += low <= 0.0 <= high
    assert least <= covered / trials <= most


def test_a_patients_studies_are_drawn_together_and_hospitals_are_kept_apart():
    values = view([0, 1, 1, 2], hospitals=[0, 0, 1, 1])
    hospitals = Patients().of("d", "test", values)
    first, second = summed(np.array([[1.0], [10.0], [100.0], [1000.0]]), hospitals)[..., 0]
    times = {0: first % 10, 1: first // 10, 2: second // 1000}  # how often each patient was drawn, of three in all
    assert (times[0] + times[1] + times[2] == 3).all()
    assert np.array_equal(second, 100 * times[1] + 1000 * times[2])


def test_rows_of_a_draw_share_patients_and_must_have_the_same_studies():
    patients, values, rows = Patients(), view([0, 1, 2]), np.array([[1.0], [10.0], [100.0]])
    one = patients.of("d", "test", values)
    assert patients.of("d", "test", view([0, 1, 2])) is one
    assert np.array_equal(summed(rows, one), summed(rows, Patients().of("d", "test", values)))
    assert not np.array_equal(summed(rows, one), summed(rows, patients.of("other", "test", values)))
    with pytest.raises(DataError, match="part test belong to other studies"):
        patients.of("d", "test", view([0, 1, 1]))


def test_one_draw_less_than_there_are_is_drawn_so_that_the_spread_is_right():
    # values 0, 1, 2: s = 1, so the mean over three draws has the standard deviation 1 / sqrt(3)
    found = over_draws({name: np.full(RESAMPLES, value) for name, value in (("a", 0.0), ("b", 1.0), ("c", 2.0))})
    assert set(np.unique(found)) == {0.0, 0.5, 1.0, 1.5, 2.0}
    assert found.std() == pytest.approx(3**-0.5, rel=0.05)
    assert np.allclose(shares(("a", "b", "c")).sum(0), 1)
    alone = np.arange(RESAMPLES, dtype=float)
    assert np.array_equal(over_draws({"a": alone}), alone)


@pytest.mark.parametrize("value", [0.5, 0.42, 0.8])  # the worst of hospitals may lie outside its own interval
def test_resamples_about_a_score_have_its_interval(value):
    assert interval(about(value, 0.4, 0.7, "fedavg", "d")) == pytest.approx((0.4, 0.7), abs=1e-3)
    assert not np.array_equal(about(value, 0.4, 0.7, "fedavg", "d"), about(value, 0.4, 0.7, "fedprox", "d"))


def test_undefined_resamples_are_left_out_and_most_of_them_give_no_interval():
    some = np.where(np.arange(RESAMPLES) % 4 == 0, np.nan, 1.0)
    assert interval(some) == (1.0, 1.0)
    assert interval(np.where(np.arange(RESAMPLES) % 4, np.nan, 1.0)) is None
    assert p_value(np.where(np.isnan(some), np.nan, -0.1)) == pytest.approx(2 / 1501)
