"""Committed result files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmark.board import results
from fedmrg_core.errors import DataError


def commit(root: Path, result: dict, text: str | None = None) -> Path:
    path = results.result_path(result, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(results.committed_text(result) if text is None else text)
    return path


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"algorithm": "fedmrg"}', "[" * 200_000, "\x00"])
def test_a_file_that_is_no_result_is_named(tmp_path, make_result, text):
    commit(tmp_path, make_result(), text)
    with pytest.raises(DataError, match=r"^\S+fedmrg--s0\.json: is not a result[^\n]*$"):
        results.load(tmp_path)


@pytest.mark.parametrize("value", [math.inf, math.nan, "1e999", 1.7, -0.1, True, [1], {}])
def test_an_impossible_score_is_refused(tmp_path, make_result, value):
    result = make_result()
    result["scores"]["test/personal/ce_f1_micro14"]["value"] = value
    commit(tmp_path, result)
    with pytest.raises(DataError, match=r"score 'test/personal/ce_f1_micro14': value is .*, not a number from 0 to 1"):
        results.load(tmp_path)


def test_a_number_too_large_for_a_float_is_refused(tmp_path, make_result):
    text = results.committed_text(make_result()).replace('"value": 0.5', '"value": 1e999')
    commit(tmp_path, make_result(), text)
    with pytest.raises(DataError, match="value is inf"):
        results.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "won"}, "status is 'won'; allowed: finished, failed, interrupted"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "0"}, "seed is '0', not a whole number"),
        ({"algorithm": "a\x1b[31m"}, "algorithm is .*not a printable name"),
        ({"split": "../x"}, "split is '../x', which leads to another folder"),
        ({"split": "/etc"}, "split is '/etc', which leads to another folder"),
        ({"preset": "a/b"}, "preset is 'a/b', which leads to another folder"),
        ({"config": []}, r"config is \[\], not a table"),
        ({"config": {"train": 3}}, "config.train is 3, not a table"),
        ({"scores": {"x": 3}}, "score 'x' is 3, not a table"),
        ({"scores": {"x": {"value": 1, "low": 2, "high": 0}}}, "its interval is from 2 to 0"),
        ({"communication": {"upload_bytes": -4}}, "upload_bytes is -4"),
        ({"provenance": {"client_cpu_seconds": -4}}, "client_cpu_seconds is -4"),
        ({"overrides": ["a=\n"]}, "overrides hold"),
        ({"bench_version": "99999999"}, "bench_version is '99999999', not a number of up to four digits"),
        ({"params_sha256": None}, "params_sha256 is None, not text"),
    ],
)
def test_other_damage_is_refused_in_one_line(tmp_path, make_result, change, message):
    path = tmp_path / "x--s0.json"
    path.write_text(json.dumps({**make_result(), **change}))
    with pytest.raises(DataError, match=message) as caught:
        results.read(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()


def test_a_result_under_another_name_is_refused(tmp_path, make_result):
    path = commit(tmp_path, make_result())
    path.rename(path.with_name("fedavg--s0.json"))
    with pytest.raises(DataError, match=r"fedavg--s0\.json: is the result of .*fedmrg--s0\.json"):
        results.load(tmp_path)


def test_overrides_are_part_of_the_path_in_any_order(make_result):
    plain, one, other = (
        results.result_path({**make_result(), "overrides": overrides})
        for overrides in ([], ["a=1", "b=2"], ["b=2", "a=1"])
    )
    assert plain.name == "fedmrg--s0.json"
    assert one == other
    assert one.name == f"fedmrg--{results.overrides_hash({'overrides': ['a=1', 'b=2']})}--s0.json"


def test_a_committed_result_is_found_by_its_run(tmp_path, make_result):
    path = commit(tmp_path, make_result(seed=1))
    commit(tmp_path, make_result(seed=2))
    assert results.find("20260101-fedmrg-s1", tmp_path) == path
    assert results.find("20260101-fedmrg-s", tmp_path) is None


def test_a_committed_result_comes_back_with_six_decimals(tmp_path, make_result):
    result = make_result(value=1 / 3)
    commit(tmp_path, result)
    (read,) = results.load(tmp_path)
    assert read == {**result, "scores": read["scores"]}
    assert read["scores"]["test/global/bleu4"]["value"] == 0.333333


def test_metric_versions_are_those_of_labeler_and_texts(make_result):
    result = make_result()
    result["scores"]["test/global/ce_f1_micro14"]["version"] = "rules 9"
    assert results.metric_versions(result) == "rules 9, 1"
