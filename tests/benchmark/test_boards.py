"""Which results share a board, and what its rows hold."""

from __future__ import annotations

import pytest

from benchmark.board.boards import Estimate, boards, over_seeds


def test_seeds_become_a_mean_with_students_interval():
    found = over_seeds([{"value": 1.0}, {"value": 2.0}, {"value": 3.0}])
    assert (found.value, found.seeds) == (2.0, 3)
    # t(.975, 2) = 4.302653 (any table), s = 1, n = 3: half width 4.302653 / sqrt(3) = 2.484138
    assert found.high == pytest.approx(4.484138, abs=1e-6)
    assert found.low == pytest.approx(-0.484138, abs=1e-6)


def test_one_seed_keeps_its_bootstrap_interval_and_a_missing_value_gives_no_estimate():
    assert over_seeds([{"value": 0.5, "low": 0.4, "high": 0.7}]) == Estimate(0.5, 0.4, 0.7, 1)
    assert over_seeds([{"value": None}]) is None


def test_rows_are_ordered_by_personal_clinical_f1_and_carry_costs(make_result):
    (board,) = boards([make_result("constant", value=0.2), make_result("fedavg", value=0.6)])
    assert [row.algorithm for row in board.rows] == ["fedavg", "constant"]
    assert [row.trivial for row in board.rows] == [False, True]
    found = board.rows[0].estimates
    assert (found["upload_mb"].value, found["upload_mb_round"].value, found["train_seconds"].value) == (4.0, 2.0, 12.5)


def test_a_row_of_fewer_seeds_comes_last_whatever_its_score(make_result):
    whole = [make_result(name, seed=seed, value=value) for name, value in (("a", 0.5), ("b", 0.6)) for seed in (0, 1)]
    (board,) = boards([make_result("part", value=0.9), *whole])
    assert [row.algorithm for row in board.rows] == ["b", "a", "part"]
    assert board.complete == board.rows[:2]


def test_only_the_newest_bench_version_is_ranked(make_result):
    group = [make_result(a, bench_version="9") for a in ("fedavg", "fedprox")] + [make_result(bench_version="10")]
    (board,) = boards(group)
    assert [row.algorithm for row in board.rows] == ["fedmrg"]
    assert [result["algorithm"] for result in board.incomparable] == ["fedavg", "fedprox"]


@pytest.mark.parametrize("section", ["train", "model", "evaluate"])
def test_another_budget_model_or_evaluation_is_not_ranked_with_the_rest(make_result, section):
    odd = make_result("fedlora")
    odd["config"] = {**odd["config"], section: {**odd["config"][section], "rounds": 99}}
    (board,) = boards([make_result(), make_result("fedavg"), odd])
    assert [result["algorithm"] for result in board.incomparable] == ["fedlora"]


def test_an_algorithms_own_learning_rate_does_not_set_it_apart(make_result):
    own = make_result("fedlora")
    own["config"] = {**own["config"], "train": {**own["config"]["train"], "lr": 0.5}}
    (board,) = boards([make_result(), own])
    assert len(board.rows) == 2


def test_a_result_on_other_data_is_not_ranked_with_its_seed(make_result):
    odd = make_result("fedlora")
    odd["provenance"] = {**odd["provenance"], "data_sha256": "other"}
    (board,) = boards([make_result(), make_result("fedavg"), make_result(seed=1), odd])
    assert [result["algorithm"] for result in board.incomparable] == ["fedlora"]
    assert {row.algorithm: row.seeds for row in board.rows} == {"fedavg": (0,), "fedmrg": (0, 1)}


def test_scores_of_another_labeler_version_are_not_ranked_with_the_rest(make_result):
    odd = make_result("fedlora")
    odd["scores"]["test/global/ce_f1_micro14"]["version"] = "rules 9"
    (board,) = boards([make_result(), make_result("fedavg"), odd])
    assert [result["algorithm"] for result in board.incomparable] == ["fedlora"]
    assert board.common.metrics == "1"


def test_one_name_with_two_configurations_gives_two_rows(make_result):
    (board,) = boards([make_result(), make_result(seed=1, config_hash="changed!")])
    assert sorted(row.algorithm for row in board.rows) == ["fedmrg (change)", "fedmrg (hash-f)"]


def test_failed_runs_are_no_rows(make_result):
    (board,) = boards([make_result("fedavg"), make_result(status="failed", scores={}, error="no memory")])
    assert [row.algorithm for row in board.rows] == ["fedavg"]
    assert [result["error"] for result in board.failed] == ["no memory"]
