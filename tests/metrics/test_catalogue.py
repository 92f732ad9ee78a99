"""The catalogue knows every metric that the scorecard computes, and what a score's name means."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from fedmrg_core.metrics import catalogue
from fedmrg_core.metrics.scorecard import scorecard


def test_every_metric_of_a_scorecard_is_in_it_and_the_other_way_round(java: str, generations: pd.DataFrame) -> None:
    head = {"labels": [[1] + [0] * 13] * 12, "head_states": [[0] * 14] * 12, "head_probs": [[0.1] * 14] * 12}
    frame = generations.assign(**head, nll=2.0, tokens=3.0, cut=0.0, truth=[{"Pleural Effusion": ("left", 0)}] * 12)
    measured = scorecard(frame, ["Lungs are clear."], resamples=0).per_study.attrs["metrics"]
    assert set(measured) == set(catalogue.metrics())
    assert all(catalogue.find(key).higher_is_better == fact["higher_is_better"] for key, fact in measured.items())


@pytest.mark.parametrize(
    ("name", "title", "group", "better"),
    [
        ("bleu4", "BLEU-4", "nlg", True),
        ("test/personal/h01/worst_bleu4_ptb", "BLEU-4, PTB, worst hospital", "nlg", True),
        ("mean_verbatim", "copied training reports, mean of hospitals", "diversity", False),
        ("spread_ce_f1_micro14", "CE F1 micro, best less worst hospital", "ce", False),
        ("radeval_radcliq_v1", "radcliq_v1", "radeval", False),
        ("worst_radeval_bertscore", "bertscore, worst hospital", "radeval", True),
        ("of_another_version", "of_another_version", "other", True),
    ],
)
def test_a_name_is_found_with_its_prefix(name: str, title: str, group: str, better: bool) -> None:
    found = catalogue.find(name)
    assert (found.title, found.group, found.higher_is_better) == (title, group, better)


def test_tables_hold_what_a_reader_asks_first() -> None:
    keys = {table: [metric.key for metric in catalogue.shown(table)] for table in catalogue.TABLES}
    worst = ["worst_ce_f1_micro14", "shuffled_worst_ce_f1_micro14"]
    assert keys["board"] == ["ce_f1_micro14", "ce_f1_macro14", "bleu4", "rougeL", "nll", *worst]
    assert keys["head"] == ["ce_f1_micro14", "head_f1_micro14", "head_accuracy", "head_auroc"]
    assert keys["hospitals"] == ["ce_f1_micro14", "bleu4"]
    assert catalogue.RANKED_BY in {f"{view.key}/{key}" for view in catalogue.VIEWS for key in keys["board"]}


def test_looking_up_loads_no_numpy_until_a_registered_metric_needs_it() -> None:
    code = "import sys, fedmrg_core.metrics.catalogue; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
