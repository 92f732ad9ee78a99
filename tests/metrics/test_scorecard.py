"""The scorecard: its keys, how pooled, hospital and over-hospital figures relate, and what it leaves out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fedmrg_core.errors import ConfigError, DataError
from fedmrg_core.metrics import java as java_module
from fedmrg_core.metrics.catalogue import PREFIXES
from fedmrg_core.metrics.scorecard import scorecard, shuffled_worst
from fedmrg_core.metrics.stats import mean_measure
from fedmrg_core.types import CONDITIONS
from tests.metrics.conftest import PAIRS


@pytest.fixture(autouse=True)
def java_only_where_asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR runs in the one test that is about it."""
    if "java" not in request.fixturenames:
        monkeypatch.setattr(java_module.shutil, "which", lambda name: None)


TRAIN = ["lungs are clear.  No PNEUMOTHORAX.", "Something else."]


def score(frame: pd.DataFrame, **options: object) -> dict[str, float]:
    settings: dict[str, object] = {"resamples": 20, "conventions": ["r2gen"]} | options
    return {key: s.value for key, s in scorecard(frame, TRAIN, **settings).scores.items()}  # type: ignore[arg-type]


def test_hospitals_mean_worst_and_spread_follow_from_the_hospitals(generations: pd.DataFrame) -> None:
    values = score(generations)
    for metric in ("bleu4", "cider", "ce_f1_micro14", "rougeL"):
        own = [values[f"unseen/global/{hospital}/{metric}"] for hospital in ("h01", "h02", "h03")]
        assert values[f"unseen/global/mean_{metric}"] == pytest.approx(np.mean(own))
        assert values[f"unseen/global/worst_{metric}"] == pytest.approx(min(own))
        assert values[f"unseen/global/spread_{metric}"] == pytest.approx(max(own) - min(own))
    assert "test/global/worst_verbatim" not in values


def test_the_worst_of_shuffled_hospitals_keeps_their_sizes_and_loses_their_differences() -> None:
    """Hospital a (1 study) always fails and b (3) never does; a shuffled label puts the failure at a in 1 of 4 cases:
    its F1 is then 0, else b's 2 / 3 x 2 / (2 / 3 + 1) = .8 of two hits and one miss."""
    rows = [
        {"study_id": str(i), "patient_id": str(i), "hospital": "abbb"[i], "part": "test", "view": "global",
         "reference": "Cardiomegaly.", "hypothesis": "Cardiomegaly." if i else ""}
        for i in range(4)
    ]  # fmt: skip
    scores = scorecard(pd.DataFrame(rows), None, resamples=0, conventions=["r2gen"]).scores
    assert scores["test/global/worst_ce_f1_micro14"].value == 0
    chance = scores["test/global/shuffled_worst_ce_f1_micro14"]
    assert chance.value == pytest.approx(0.75 * 0.8, abs=0.05)
    assert (chance.low, chance.high, chance.n) == (0.0, pytest.approx(0.8), 2)


@pytest.mark.parametrize(("shift", "least", "most"), [(0.0, 0.85, 1.0), (0.55, 0.0, 0.2)])
def test_the_range_of_chance_holds_the_worst_of_equal_hospitals_only(shift: float, least: float, most: float) -> None:
    """Five hospitals of 10 to 50 studies, each right with the chance .6, but the last with .6 less `shift`."""
    hospitals, rng, inside = np.repeat([0, 1, 2, 3, 4], [10, 20, 30, 40, 50]), np.random.default_rng(0), 0
    for _ in range(25):
        right = (rng.random(150) < 0.6 - shift * (hospitals == 4)).astype(float)
        measure = mean_measure("ce_f1_micro14", right, "1")
        worst = min(right[hospitals == hospital].mean() for hospital in range(5))
        ((_, chance),) = shuffled_worst(measure, np.arange(150), [str(hospital) for hospital in hospitals], rng)
        inside += chance.low <= worst <= chance.high
    assert least <= inside / 25 <= most


def test_the_f1_of_a_condition_is_pooled_and_absent_where_nobody_names_it(generations: pd.DataFrame) -> None:
    frame = generations.assign(
        reference=["Cardiomegaly.", "Cardiomegaly.", "Edema."] * 4, hypothesis=["Cardiomegaly.", "", "Fracture."] * 4
    )
    values = {key: value for key, value in score(frame).items() if key.startswith("test/")}
    assert values["test/global/ce_f1_cardiomegaly"] == pytest.approx(2 / 3)
    assert values["test/global/ce_f1_edema"] == values["test/global/ce_f1_fracture"] == 0
    assert "test/global/ce_f1_pneumonia" not in values
    assert "test/global/h01/ce_f1_cardiomegaly" not in values


def test_the_likelihood_is_a_ratio_of_sums_and_absent_where_no_model_told(generations: pd.DataFrame) -> None:
    known = (generations["part"] == "test").to_numpy()
    told = {"nll": np.where(known, 3.0 * np.arange(12), np.nan), "tokens": np.where(known, 1.0 + np.arange(12), np.nan)}
    values = score(generations.assign(**told, cut=np.where(known, 1.0, np.nan)))
    test = np.flatnonzero(known)
    assert values["test/global/nll"] == pytest.approx(3 * test.sum() / (1 + test).sum())
    assert values["test/global/cut"] == 1
    assert not [key for key in values if key.startswith("unseen") and key.endswith(("/nll", "/cut"))]


def test_a_hospitals_cider_takes_its_frequencies_from_the_whole_part(generations: pd.DataFrame) -> None:
    values = score(generations)
    own = [values[f"test/global/{hospital}/cider"] for hospital in ("h01", "h02", "h03")]
    assert values["test/global/cider"] == pytest.approx(np.mean(own))  # two studies each


def test_parts_do_not_touch_each_other_and_row_order_does_not_matter(generations: pd.DataFrame) -> None:
    together = scorecard(generations, TRAIN, resamples=50, conventions=["r2gen"]).scores
    alone = scorecard(generations[generations["part"] == "test"], TRAIN, resamples=50, conventions=["r2gen"]).scores
    assert {key: together[key] for key in alone} == alone
    shuffled = score(generations.sample(frac=1.0, random_state=1))
    assert shuffled == pytest.approx({key: s.value for key, s in together.items()})


def test_scores_carry_n_version_and_an_interval_around_the_value(generations: pd.DataFrame) -> None:
    scores = scorecard(generations, TRAIN, resamples=200, conventions=["r2gen"]).scores
    for key, found in scores.items():
        assert np.isfinite([found.value, found.low, found.high]).all(), key
        assert found.low <= found.high, key
        assert found.n == (6 if key.count("/") == 2 and not key.split("/")[2].startswith(tuple(PREFIXES))
                           else 2 if key.count("/") == 3 else 3), key  # fmt: skip
    assert scores["test/global/bleu4"].version == "pycocoevalcap 1.2, r2gen"
    assert scores["test/global/ce_f1_micro14"].version.startswith("rules")
    assert not scores["test/global/verbatim"].higher_is_better


def test_diversity_counts_strings_and_verbatim_ignores_case_and_blanks(generations: pd.DataFrame) -> None:
    frame = generations.assign(hypothesis=["Lungs are clear. No pneumothorax."] * 3 + ["b"] * 9)
    values = score(frame[frame["part"] == "test"])
    assert values["test/global/distinct"] == pytest.approx(2 / 6)
    assert values["test/global/verbatim"] == pytest.approx(3 / 6)
    assert "test/global/verbatim" not in {
        key for key in scorecard(frame, None, resamples=0, conventions=["r2gen"]).scores if key.endswith("/verbatim")
    }


def test_head_metrics_appear_only_where_every_row_of_a_part_has_them(generations: pd.DataFrame) -> None:
    labels = [[1] + [0] * 13, [0] * 14] * 6
    probabilities = [[0.9] + [0.1] * 13, [0.2] * 14] * 6
    in_test = (generations["part"] == "test").tolist()
    frame = generations.assign(
        labels=labels,
        head_states=[row if known else None for row, known in zip(labels, in_test, strict=True)],
        head_probs=[row if known else None for row, known in zip(probabilities, in_test, strict=True)],
    )
    values = score(frame)
    assert values["test/global/head_accuracy"] == values["test/global/head_auroc"] == 1.0
    assert values["test/global/h02/head_f1_micro14"] == 1.0
    assert not [key for key in values if key.startswith("unseen") and "head_" in key]
    with pytest.raises(DataError, match="needs 14 values, found 3"):
        score(generations.assign(labels=[[1, 2, 3]] * 12))


def test_per_study_values_average_to_the_corpus_where_a_metric_is_a_mean(generations: pd.DataFrame) -> None:
    card = scorecard(generations, TRAIN, resamples=0, conventions=["r2gen"])
    rows = card.per_study[card.per_study["part"] == "test"]
    for metric in ("rougeL", "cider", "ce_f1_example14", "rouge2"):
        assert rows[metric].mean() == pytest.approx(card.scores[f"test/global/{metric}"].value)
    assert list(card.per_study["study_id"]) == list(generations["study_id"])


def test_any_labeler_may_be_given_and_a_wrong_name_is_refused(generations: pd.DataFrame) -> None:
    def all_positive(reports: list[str]) -> list[tuple[int, ...]]:
        return [(1,) * len(CONDITIONS)] * len(reports)

    assert score(generations, labeler=all_positive)["test/global/ce_f1_macro14"] == 1.0
    with pytest.raises(ConfigError, match=r"unknown labeler 'rule'.*Did you mean 'rules'"):
        score(generations, labeler="rule")
    with pytest.raises(ConfigError, match="weights=PATH"):
        score(generations, labeler="chexbert")
    with pytest.raises(DataError, match="lack the column"):
        score(generations.drop(columns=["hypothesis"]))


def test_both_conventions_and_meteor_stand_side_by_side_where_java_is(java: str, generations: pd.DataFrame) -> None:
    card = scorecard(generations, TRAIN, resamples=20)
    scores = card.scores
    assert not card.missing
    assert scores["test/global/meteor"].version == "METEOR 1.5 (pycocoevalcap 1.2, r2gen)"
    assert 0 < scores["test/global/meteor_ptb"].value < 1
    assert scores["test/global/bleu1"].value != scores["test/global/bleu1_ptb"].value


def test_importing_the_metrics_loads_no_torch_and_nothing_heavy() -> None:
    code = (
        "import sys, fedmrg_core.metrics.scorecard, fedmrg_core.metrics.labeler, fedmrg_core.metrics.compare; "
        "print([m for m in ('torch', 'pandas', 'nltk', 'transformers', 'pycocoevalcap') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_an_empty_generation_scores_0_and_breaks_nothing() -> None:
    frame = pd.DataFrame(
        [
            {"study_id": str(i), "patient_id": str(i), "hospital": "h01", "part": "test", "view": "global",
             "reference": reference, "hypothesis": ""}
            for i, (reference, _) in enumerate(PAIRS)
        ]
    )  # fmt: skip
    values = score(frame)
    for metric in ("bleu1", "rougeL", "cider", "rouge1", "ce_f1_micro14"):
        assert values[f"test/global/{metric}"] == pytest.approx(0.0, abs=1e-6)
