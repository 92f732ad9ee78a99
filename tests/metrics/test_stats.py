"""Statistics with known answers: intervals, clusters, seeds, paired tests, Holm."""

from __future__ import annotations

import numpy as np
import pytest

from fedmrg_core.metrics.compare import holm, paired_bootstrap, paired_permutation, seed_interval
from fedmrg_core.metrics.stats import bootstrap_weights, interval, mean_measure, ratio
from fedmrg_core.seeding import generator


def names(count: int) -> list[str]:
    return [f"p{i}" for i in range(count)]


def test_the_interval_of_a_mean_is_the_textbooks() -> None:
    values = generator("values").normal(size=2000)
    draws = mean_measure("m", values, "v").score(bootstrap_weights(names(2000), 2000, generator("b")), np.arange(2000))
    value, low, high = interval(draws)
    assert value == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.08)


def test_a_study_counted_twice_for_its_patient_adds_no_certainty() -> None:
    values = generator("values").normal(size=40)
    once = mean_measure("m", values, "v").score(bootstrap_weights(names(40), 500, generator("b")), np.arange(40))
    patients = [name for name in names(40) for _ in range(2)]
    weights = bootstrap_weights(patients, 500, generator("b"))
    twice = mean_measure("m", values.repeat(2), "v").score(weights, np.arange(80))
    np.testing.assert_allclose(twice, once)
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights.sum(axis=1) == 80).all()


def test_without_resamples_or_with_one_value_the_interval_is_the_value() -> None:
    measure = mean_measure("m", np.array([3.0, np.nan]), "v")
    assert interval(measure.score(bootstrap_weights(names(2), 0, generator("b")), np.arange(2))) == (3.0, 3.0, 3.0)
    assert interval(measure.score(bootstrap_weights(["p", "p"], 50, generator("b")), np.arange(2))) == (3.0, 3.0, 3.0)


def test_seed_means_use_students_t() -> None:
    found = seed_interval([1.0, 2.0, 3.0])
    half = 4.303 * 1.0 / np.sqrt(3)  # t(.975, 2 degrees of freedom) x standard error
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((2.0, 2.0 - half, 2.0 + half, 3))
    assert seed_interval([0.4]).low == seed_interval([0.4]).high == 0.4
    with pytest.raises(ValueError, match="no value"):
        seed_interval([])


def test_exact_permutation_p_of_five_patients_who_all_gain() -> None:
    gains = np.array([0.3, 0.1, 0.2, 0.5, 0.4])
    p = paired_permutation(gains, np.zeros(5), names(5), generator("t"))
    assert p == pytest.approx(2 / 2**5)  # only all-plus and all-minus are as extreme
    both = paired_permutation(gains.repeat(2), np.zeros(10), names(5) * 2, generator("t"))
    assert both >= p  # ten studies of five patients know no more than five patients


def test_permutation_p_is_uniform_when_nothing_differs_and_1_when_nothing_changes() -> None:
    rng = generator("null")
    found = [
        paired_permutation(rng.normal(size=30), rng.normal(size=30), names(30), rng, draws=400) for _ in range(200)
    ]
    assert np.mean(np.array(found) < 0.05) < 0.12
    assert 0.4 < np.mean(found) < 0.6
    assert paired_permutation(np.ones(30), np.ones(30), names(30), rng, draws=100) == 1.0


def test_paired_bootstrap_of_a_constant_gap_and_of_no_gap() -> None:
    base = generator("base").random(50)
    rows = np.stack([base, np.ones(50)], axis=1)
    better = np.stack([base + 0.1, np.ones(50)], axis=1)
    found = paired_bootstrap(better, rows, ratio, names(50), generator("t"), draws=999)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.p == pytest.approx(2 / 1000)
    assert paired_bootstrap(rows, rows, ratio, names(50), generator("t"), draws=99).p == 1.0


def test_holm_of_a_worked_example() -> None:
    # sorted .005 .01 .03 .04 -> x4 .02, x3 .03, x2 .06, x1 .04 raised to .06
    assert holm({"d": 0.04, "a": 0.01, "b": 0.005, "c": 0.03}) == pytest.approx(
        {"d": 0.06, "a": 0.03, "b": 0.02, "c": 0.06}
    )
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
