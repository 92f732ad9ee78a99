"""How different hospitals are: known answers, and the smallest split beside its random deals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark import cli
from fedmrg_core.data.describe import describe, divergence, sample_of_federation
from tests.toy import federation


def test_divergence_has_its_known_answers() -> None:
    assert divergence(np.array([[3.0, 1.0], [6.0, 2.0]])) == pytest.approx(0.0, abs=1e-12)
    assert divergence(np.array([[5.0, 0.0], [0.0, 5.0]])) == pytest.approx(1.0)
    assert divergence(np.array([[2.0, 0.0], [0.0, 6.0]])) == pytest.approx(0.811278, abs=1e-6)
    assert divergence(np.array([[2.0, 0.0], [0.0, 0.0]])) == 0.0


def test_hospitals_of_a_grouped_split_differ_more_than_any_random_deal(toy_cache: Path) -> None:
    measures = {one.name: one for one in describe(sample_of_federation(federation(toy_cache)))}
    assert list(measures) == ["labels", "words", "style", "films", "sizes"]
    for name in ("labels", "words", "style", "films"):
        assert measures[name].value > measures[name].random_high, name


def test_splits_describe_prints_draws_and_says_what_is_absent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "describe.png"
    assert cli.main(["splits", "describe", "phantom/ci", "mimic_cxr/group", "--png", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "phantom/ci: " in said
    assert "mimic_cxr/group: not described: data absent" in said
    assert picture.read_bytes().startswith(b"\x89PNG")
