"""Statistics with known answers: intervals, clusters, seeds, paired tests, Holm."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fedmrg_core.metrics.compare import holm, paired_bootstrap, paired_permutation
from fedmrg_core.metrics.nlg import bleu_score
from fedmrg_core.metrics.stats import Floats, bootstrap_weights, interval, mean_measure, ratio
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


def means(values: Floats) -> Floats:
    """Statistics of a mean: the values and ones."""
    return np.stack([values, np.ones(len(values))], axis=1)


def test_exact_permutation_p_of_five_patients_who_all_gain() -> None:
    gains = np.array([0.3, 0.1, 0.2, 0.5, 0.4])
    p = paired_permutation(means(gains), means(np.zeros(5)), ratio, names(5), generator("t"))
    assert p == pytest.approx(2 / 2**5)  # only all-plus and all-minus are as extreme
    twice = means(gains.repeat(2)), means(np.zeros(10))
    assert paired_permutation(*twice, ratio, [name for name in names(5) for _ in range(2)], generator("t")) == p


def test_an_exchange_scores_the_corpus_anew() -> None:
    # BLEU-1 of two patients: exchanging one of them gives other corpora, not other means
    rows = np.array([[3, 0, 0, 0, 4, 3, 2, 1, 4, 4], [1, 0, 0, 0, 8, 7, 6, 5, 8, 8]], dtype=float)
    worse = rows * 1.0
    worse[:, 0] = [1, 0]
    combine = partial(bleu_score, n=1)
    corpora = [(rows if i else worse, rows if j else worse) for i in (0, 1) for j in (0, 1)]
    gaps = [combine(a[0] + b[1]) - combine(rows[0] + worse[0] - a[0] + rows[1] + worse[1] - b[1]) for a, b in corpora]
    observed = combine(rows.sum(0)) - combine(worse.sum(0))
    expected = np.mean([abs(gap) >= observed - 1e-12 for gap in gaps])
    assert paired_permutation(rows, worse, combine, names(2), generator("t")) == expected == 0.5


def test_permutation_p_is_uniform_when_nothing_differs_and_1_when_nothing_changes() -> None:
    rng = generator("null")
    draws = [(means(rng.normal(size=30)), means(rng.normal(size=30))) for _ in range(200)]
    found = [paired_permutation(*pair, ratio, names(30), rng, draws=400) for pair in draws]
    assert np.mean(np.array(found) < 0.05) < 0.12
    assert 0.4 < np.mean(found) < 0.6
    same = means(np.ones(30))
    assert paired_permutation(same, same, ratio, names(30), rng, draws=100) == 1.0


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
