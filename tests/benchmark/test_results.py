"""Committed result files."""

from __future__ import annotations

import json

import pytest

from benchmark.board import results
from fedmrg_core.errors import DataError


def test_a_file_that_is_no_result_is_named(tmp_path, make_result):
    path = results.result_path(make_result(), tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"algorithm": "fedmrg"}))
    with pytest.raises(DataError, match=r"fedmrg--s0\.json: is not a result: it lacks config, preset"):
        results.load(tmp_path)
    path.write_text("{")
    with pytest.raises(DataError, match="is not a result"):
        results.load(tmp_path)


def test_a_committed_result_comes_back_with_six_decimals(tmp_path, make_result):
    result = make_result(value=1 / 3)
    path = results.result_path(result, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(results.committed_text(result))
    (read,) = results.load(tmp_path)
    assert read == {**result, "scores": read["scores"]}
    assert read["scores"]["test/global/bleu4"]["value"] == 0.333333


def test_metric_versions_are_those_of_labeler_and_texts(make_result):
    result = make_result()
    result["scores"]["test/global/ce_f1_micro14"]["version"] = "rules 9"
    assert results.metric_versions(result) == "rules 9, 1"
