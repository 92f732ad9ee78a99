"""CE conventions and head metrics against counts made by hand and by plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fedmrg_core.metrics import clinical, heads
from fedmrg_core.metrics.stats import Floats, Measure
from fedmrg_core.seeding import generator
from fedmrg_core.types import CONDITIONS, FIVE_CONDITIONS, LabelState

B, P, N, U = LabelState.BLANK, LabelState.POSITIVE, LabelState.NEGATIVE, LabelState.UNCERTAIN


def states(*studies: dict[str, LabelState]) -> clinical.States:
    return np.array([[study.get(name, B) for name in CONDITIONS] for study in studies], dtype=np.int8)


def values(reference: clinical.States, hypothesis: clinical.States) -> dict[str, float]:
    found = clinical.measures(reference, hypothesis, "v")
    index = np.arange(len(reference))
    return {m.name: float(m.score(np.ones((1, len(reference))), index)[0]) for m in found}


def test_every_convention_on_three_studies_counted_by_hand() -> None:
    reference = states({"Edema": P, "Fracture": P}, {"Edema": U, "Cardiomegaly": N}, {"Cardiomegaly": P})
    hypothesis = states({"Edema": P, "Cardiomegaly": P}, {"Edema": P}, {"Cardiomegaly": U, "Fracture": N})
    # positive only: hits Edema(1); false alarms Cardiomegaly(1), Edema(2); misses Fracture(1), Cardiomegaly(3)
    scores = values(reference, hypothesis)
    assert scores["ce_precision_micro14"] == pytest.approx(1 / 3)
    assert scores["ce_recall_micro14"] == pytest.approx(1 / 3)
    assert scores["ce_f1_micro14"] == pytest.approx(1 / 3)
    assert scores["ce_f1_macro14"] == pytest.approx((2 / 3) / 14)  # Edema 2/3, all others 0
    assert scores["ce_f1_micro5"] == pytest.approx(2 / 5)  # without Fracture: 1 hit, 2 false alarms, 1 miss
    assert scores["ce_f1_macro5"] == pytest.approx((2 / 3) / 5)
    assert scores["ce_f1_example14"] == pytest.approx((1 / 2 + 0 + 0) / 3)
    # uncertain as positive: hits Edema(1), Edema(2), Cardiomegaly(3); false alarm Cardiomegaly(1); miss Fracture(1)
    assert scores["ce_precision_micro14_unc"] == pytest.approx(3 / 4)
    assert scores["ce_f1_macro14_unc"] == pytest.approx((1 + 2 / 3) / 14)
    assert scores["ce_f1_example14_unc"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert len(scores) == 2 * 3 * 5


def test_example_based_gives_an_all_negative_pair_0_as_promptmrg_does() -> None:
    """PromptMRG: nan_to_num(tp / (tp + (fp + fn) / 2)) = nan_to_num(0 / 0) = 0, then the mean."""
    reference = states({"Edema": P}, {"Edema": N}, {})
    scores = values(reference, reference)
    assert scores["ce_f1_example14"] == pytest.approx(1 / 3)
    assert scores["ce_f1_micro14"] == 1.0


def test_the_five_conditions_are_chexperts() -> None:
    reference = states(*({name: P} for name in CONDITIONS))
    scores = values(reference, states(*({name: P} if name in FIVE_CONDITIONS else {} for name in CONDITIONS)))
    assert scores["ce_recall_micro5"] == scores["ce_recall_macro5"] == 1.0
    assert scores["ce_recall_micro14"] == pytest.approx(5 / 14)


def pairs_won(scores: Floats, positive: clinical.Flags) -> float:
    won = [1.0 if a > b else 0.5 if a == b else 0.0 for a in scores[positive] for b in scores[~positive]]
    return float(np.mean(won)) if won else float("nan")


def test_auroc_is_the_share_of_pairs_won_also_when_studies_repeat() -> None:
    rng = generator("auroc")
    scores, positive = rng.integers(0, 5, 30) / 4, rng.random(30) < 0.4
    drawn = rng.integers(0, 30, size=30)
    weights = np.stack([np.ones(30), np.bincount(drawn, minlength=30)])
    expected = [pairs_won(scores, positive), pairs_won(scores[drawn], positive[drawn])]
    np.testing.assert_allclose(heads.auroc(scores, positive, weights), expected, atol=1e-12)


def test_head_metrics_of_known_states() -> None:
    labels = states({"Edema": P}, {"Edema": N}, {"Edema": U})
    said = states({"Edema": P}, {"Edema": P}, {"Edema": U})
    probabilities = np.zeros((3, 14))
    probabilities[:, CONDITIONS.index("Edema")] = [0.9, 0.4, 0.1]
    found: dict[str, Measure] = {m.name: m for m in heads.measures(labels, said, probabilities)}
    scored = {name: float(m.score(np.ones((1, 3)), np.arange(3))[0]) for name, m in found.items()}
    # 42 states, one wrong; Edema: one hit, one false alarm; only Edema has both classes, ranked perfectly
    assert scored == pytest.approx({"head_f1_micro14": 2 / 3, "head_accuracy": 41 / 42, "head_auroc": 1.0})


def test_measures_equal_plain_loops_on_random_labels() -> None:
    rng = generator("clinical")
    reference, hypothesis = (rng.integers(0, 4, size=(25, 14)).astype(np.int8) for _ in range(2))
    scores = values(reference, hypothesis)
    hits = false_alarms = misses = 0
    for row, column in itertools.product(range(25), range(14)):
        a, b = reference[row, column] == P, hypothesis[row, column] == P
        hits, false_alarms, misses = hits + (a and b), false_alarms + (b and not a), misses + (a and not b)
    assert scores["ce_precision_micro14"] == pytest.approx(hits / (hits + false_alarms))
    assert scores["ce_f1_micro14"] == pytest.approx(2 * hits / (2 * hits + false_alarms + misses))
