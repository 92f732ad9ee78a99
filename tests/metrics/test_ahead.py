"""What is measured while others write changes no score and is not measured again."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from fedmrg_core.metrics import java as java_module
from fedmrg_core.metrics.ahead import Ahead
from fedmrg_core.metrics.memo import Memo
from fedmrg_core.metrics.scorecard import full_scorecard


def _measured(table: pd.DataFrame) -> Memo:
    """The memo of a table whose rows came one by one, measured six at a time."""
    ahead = Ahead(table["reference"], "rules")
    for reference, hypothesis in zip(table["reference"], table["hypothesis"], strict=True):
        ahead.add([reference], [hypothesis])
        ahead.wait()
    return ahead.known()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ahead, "LEAST", 6)


def test_scores_are_those_of_a_scorecard_that_starts_from_nothing(
    java: str, generations: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = full_scorecard(generations, None, resamples=20)
    memo = _measured(generations)
    for name in ("meteor_stats", "ptb_tokenise"):
        monkeypatch.setattr(java_module, name, None)  # nothing is left to ask Java for
    ahead = full_scorecard(generations, None, resamples=20, memo=memo)
    assert ahead.scores == plain.scores
    pd.testing.assert_frame_equal(ahead.per_study, plain.per_study)


def test_what_fails_ahead_fails_no_run(generations: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    memo = _measured(generations)
    assert not memo.rows()
    card = full_scorecard(generations, None, resamples=0, conventions=["r2gen"], memo=memo)
    assert card.scores == full_scorecard(generations, None, resamples=0, conventions=["r2gen"]).scores


def test_one_that_is_stopped_ends_its_process(java: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java_module, "is_ready", lambda texts: False)
    ahead = Ahead(["A text."] * 10, "rules")
    while ahead._process is None:
        time.sleep(0.01)
    ahead.stop()
    assert ahead._process.wait(timeout=10) != 0
    assert not ahead.known().rows()


@pytest.mark.slow
def test_meteor_is_made_ready_before_anything_is_written(
    java: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDMRG_CACHE", str(tmp_path))
    texts = ["The heart is enlarged.", "Lungs are clear."]
    assert not java_module.is_ready(texts)
    Ahead(texts, "rules").known()
    assert java_module.is_ready(texts)
    assert java_module.is_ready(["Clear lungs."])
