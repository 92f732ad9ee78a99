"""The regression gate: what counts as moved, and when that is too far."""

from __future__ import annotations

import argparse
import json

import pytest

from benchmark.commands import regress
from benchmark.run import provenance
from benchmark.suites import regression
from fedmrg_core.errors import DataError, FedMRGError

TABLE = {"*/cider": 0.1, "*": 0.03}


@pytest.fixture
def gate(make_result):
    """Expectations of one run, and a function that compares a changed run with them."""
    expected = json.loads(json.dumps(regression.expectations({"run": make_result()})))

    def moves(changed):
        return regression.compare(expected, {"run": changed}, TABLE)

    return moves


def test_an_equal_run_moves_nothing(gate, make_result):
    assert gate(make_result()) == []


def elsewhere(result):
    """The same result from another processor."""
    return {**result, "provenance": {**result["provenance"], "device": "cpu y"}}


def test_on_the_same_machine_every_score_is_exact(gate, make_result):
    moves = gate(make_result(value=0.4999999))
    assert len(moves) == len(regression.numbers(make_result())["scores"])
    assert all(move.too_far for move in moves)


def test_elsewhere_a_score_may_move_within_its_tolerance_and_is_shown(gate, make_result):
    near, far = gate(elsewhere(make_result(value=0.52))), gate(elsewhere(make_result(value=0.54)))
    assert len(near) == len(far) == len(regression.numbers(make_result())["scores"])
    assert not any(move.too_far for move in near)
    assert all(move.too_far for move in far)


def test_the_report_names_what_differs_between_the_machines(make_result):
    expected = regression.expectations({"run": make_result()})
    for result, promise in (
        (make_result(), "bit-exact (same machine type and versions): 0 moved"),
        (elsewhere(make_result()), "within tolerances (device: cpu y, expected cpu x): 0 moved"),
    ):
        assert promise in regression.report([], expected, {"run": result})


def test_other_bits_are_refused_on_the_same_machine_only(gate, make_result):
    other = make_result(params_sha256="b" * 64)
    assert [(move.key, move.too_far) for move in gate(other)] == [("params_sha256", True)]
    other["provenance"] = {**other["provenance"], "device": "cpu y"}
    assert [(move.key, move.too_far) for move in gate(other)] == [("params_sha256", False)]


def test_bytes_are_exact_everywhere(gate, make_result):
    more = make_result()
    more["communication"] = {**more["communication"], "upload_bytes": 4_000_001}
    more["provenance"] = {**more["provenance"], "device": "cpu y"}
    assert [(move.key, move.too_far) for move in gate(more)] == [("upload_bytes", True)]


def test_a_missing_score_is_refused_and_a_new_one_is_not(gate, make_result):
    less, more = make_result(), make_result()
    del less["scores"]["test/global/bleu4"]
    more["scores"]["test/global/new"] = {**more["scores"]["test/global/bleu4"]}
    assert [(move.key, move.too_far) for move in gate(less)] == [("test/global/bleu4", True)]
    assert [(move.key, move.too_far) for move in gate(more)] == [("test/global/new", False)]


def test_scores_of_hospitals_or_with_java_are_not_compared(gate, make_result):
    more = make_result()
    for key in ("test/global/meteor", "test/global/bleu4_ptb", "test/global/h01/bleu4", "test/global/spread_bleu4"):
        more["scores"][key] = {"value": 0.1}
    assert gate(more) == []


def test_a_missing_run_is_refused(make_result):
    expected = regression.expectations({"run": make_result()})
    (move,) = regression.compare(expected, {}, TABLE)
    assert move.too_far


def test_the_exit_code_says_whether_a_number_left_its_tolerance(tmp_path, monkeypatch, make_result, capsys):
    path = tmp_path / "ci.json"
    path.write_text(json.dumps(regression.expectations({"run": make_result()})))
    args = argparse.Namespace(update=False, expected=path)
    monkeypatch.setattr(regress, "run_suite", lambda: {"run": make_result()})
    assert regress.main(args) == 0
    monkeypatch.setattr(regress, "run_suite", lambda: {"run": make_result(value=0.9)})
    assert regress.main(args) == 1
    assert "! run " in capsys.readouterr().out


def test_update_writes_on_a_clean_tree_and_refuses_a_dirty_one(tmp_path, monkeypatch, make_result):
    args = argparse.Namespace(update=True, expected=tmp_path / "ci.json")
    monkeypatch.setattr(regress, "run_suite", lambda: {"run": make_result()})
    monkeypatch.setattr(provenance, "collect", lambda root, device: {"dirty": True})
    with pytest.raises(FedMRGError, match="uncommitted changes"):
        regress.main(args)
    assert not args.expected.exists()
    monkeypatch.setattr(provenance, "collect", lambda root, device: {"dirty": False})
    assert regress.main(args) == 0
    assert json.loads(args.expected.read_text())["runs"]["run"]["params_sha256"] == "a" * 64


def test_without_expectations_nothing_is_run(tmp_path):
    with pytest.raises(FedMRGError, match="--update"):
        regress.main(argparse.Namespace(update=False, expected=tmp_path / "none.json"))


@pytest.mark.parametrize("content", ["{", "[]", '{"runs": {"a": {}}}', '{"runs": {}, "machine": 1, "git_sha": ""}'])
def test_damaged_expectations_are_named_before_anything_runs(tmp_path, content):
    (tmp_path / "ci.json").write_text(content)
    with pytest.raises(DataError, match=r"ci\.json: holds no expectations"):
        regress.main(argparse.Namespace(update=False, expected=tmp_path / "ci.json"))
