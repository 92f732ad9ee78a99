"""Which results share a board, and what its rows hold."""

from __future__ import annotations

import pytest

from benchmark.board.boards import boards


def test_rows_are_ordered_by_personal_clinical_f1_and_carry_costs(make_result):
    (board,) = boards([make_result("constant", value=0.2), make_result("fedavg", value=0.6)])
    assert [row.algorithm for row in board.rows] == ["fedavg", "constant"]
    assert [row.trivial for row in board.rows] == [False, True]
    found = board.rows[0].estimates
    assert (found["upload_mb"].value, found["upload_mb_round"].value) == (4.0, 2.0)


def test_a_row_of_fewer_seeds_comes_last_whatever_its_score(make_result):
    whole = [make_result(name, seed=seed, value=value) for name, value in (("a", 0.5), ("b", 0.6)) for seed in (0, 1)]
    (board,) = boards([make_result("part", value=0.9), *whole])
    assert [row.algorithm for row in board.rows] == ["b", "a", "part"]
    assert board.complete == board.rows[:2]


def test_a_setting_that_is_newer_than_a_result_and_changes_nothing_does_not_matter(make_result):
    old, new = make_result("fedavg"), make_result()
    new["config"]["model"] = {**new["config"]["model"], "chat": "no"}
    assert len(boards([old, new])[0].rows) == 2
    new["config"]["model"]["chat"] = "yes"
    (board,) = boards([old, new, make_result("fedprox")])
    assert board.reasons == ("model.chat = yes, not None",)


def test_only_the_newest_bench_version_is_ranked(make_result):
    group = [make_result(a, bench_version="9") for a in ("fedavg", "fedprox")] + [make_result(bench_version="10")]
    (board,) = boards(group)
    assert [row.algorithm for row in board.rows] == ["fedmrg"]
    assert [result["algorithm"] for result in board.incomparable] == ["fedavg", "fedprox"]


@pytest.mark.parametrize(
    ("section", "change", "why"),
    [
        ("train", {"rounds": 99}, "train.rounds = 99, not 2"),
        ("model", {"lm_hidden": 99}, "model.lm_hidden = 99, not 128"),
        ("evaluate", {"labeler": "other"}, "evaluate.labeler = other, not rules"),
        ("engine", {"precision": "bf16"}, "engine.precision = bf16, not float32"),
        ("faults", {"policy": {"on_failure": "drop"}}, "another fault policy"),
    ],
)
def test_another_budget_model_evaluation_precision_or_fault_policy_is_not_ranked(make_result, section, change, why):
    odd = make_result("fedlora")
    odd["config"] = {**odd["config"], section: {**odd["config"].get(section, {}), **change}}
    (board,) = boards([make_result(), make_result("fedavg"), odd])
    assert [result["algorithm"] for result in board.incomparable] == ["fedlora"]
    assert board.reasons == (why,)


def test_a_run_that_lost_updates_of_clients_is_not_ranked(make_result):
    lost = [{"client": "h01", "round": r, "policy": policy} for r, policy in enumerate(("drop", "reuse_last"))]
    mended = [{"client": "h01", "round": 0, "kind": "out_of_memory"}]
    (board,) = boards([make_result("a"), make_result("b", failures=mended), make_result("c", failures=lost)])
    assert [row.algorithm for row in board.rows] == ["a", "b"]
    assert board.reasons == ("2 updates of clients were lost, not 0",)


def test_an_algorithms_own_learning_rate_does_not_set_it_apart(make_result):
    own = make_result("fedlora")
    own["config"] = {**own["config"], "train": {**own["config"]["train"], "lr": 0.5}}
    (board,) = boards([make_result(), own])
    assert len(board.rows) == 2


@pytest.mark.parametrize(
    ("name", "what"), [("data_sha256", "data"), ("split_sha256", "division into hospitals"), ("model_sha256", "base")]
)
def test_a_result_with_other_data_or_base_is_not_ranked_with_its_seed(make_result, name, what):
    odd = make_result("fedlora")
    odd["provenance"] = {**odd["provenance"], name: "other"}
    (board,) = boards([make_result(), make_result("fedavg"), make_result(seed=1), odd])
    assert [result["algorithm"] for result in board.incomparable] == ["fedlora"]
    assert {row.algorithm: row.seeds for row in board.rows} == {"fedavg": (0,), "fedmrg": (0, 1)}
    assert board.reasons == (f"another {what} than the other rows of seed 0",)


def test_scores_of_another_labeler_version_are_not_ranked_with_the_rest(make_result):
    odd = make_result("fedlora")
    odd["scores"]["test/global/ce_f1_micro14"]["version"] = "rules 9"
    (board,) = boards([make_result(), make_result("fedavg"), odd])
    assert [result["algorithm"] for result in board.incomparable] == ["fedlora"]
    assert board.common.metrics == "1"
    assert board.reasons == ("scored by rules 9, 1, not by 1",)


def test_one_name_with_two_configurations_gives_two_rows(make_result):
    (board,) = boards([make_result(), make_result(seed=1, config_hash="changed!")])
    assert sorted(row.algorithm for row in board.rows) == ["fedmrg (change)", "fedmrg (hash-f)"]


def test_failed_runs_are_no_rows(make_result):
    (board,) = boards([make_result("fedavg"), make_result(status="failed", scores={}, error="no memory")])
    assert [row.algorithm for row in board.rows] == ["fedavg"]
    assert [result["error"] for result in board.failed] == ["no memory"]


@pytest.mark.parametrize(
    ("versions", "reasons"), [({"torch": "2.14.0"}, ("torch 2.14.0, not 2.13.0",)), ({"torch": "2.13.0+cu126"}, ())]
)
def test_another_library_version_is_not_ranked_but_another_build_of_it_is(make_result, versions, reasons):
    odd = make_result("fedlora")
    odd["provenance"] = {**odd["provenance"], "versions": {**odd["provenance"]["versions"], **versions}}
    (board,) = boards([make_result(), make_result("fedavg"), odd])
    assert (len(board.rows), board.reasons) == (3 - len(reasons), reasons)
    assert "torch 2.13.0" in board.common.libraries


def test_results_of_a_suite_with_overrides_have_a_board_of_their_own(make_result):
    own = [make_result(name, value=0.9, overrides=["train.rounds=3"]) for name in ("fedavg", "fedprox", "fedlora")]
    plain, other = boards([make_result(value=0.5), *own])
    assert (plain.slug, [row.algorithm for row in plain.rows]) == ("phantom-ci--tiny", ["fedmrg"])
    assert other.overrides == ("train.rounds=3",)
    assert other.slug.startswith("phantom-ci--tiny--")
    assert len(other.rows) == 3


def test_boards_of_distinct_names_have_distinct_pages(make_result):
    names = [("phantom/ci", "tiny"), ("phantom-ci", "tiny"), ("phantom/ci--tiny", "x"), ("phantom/ci", "tiny--x")]
    names.append(("ä", "ö"))
    results = [make_result(split=split, preset=preset) for split, preset in names]
    slugs = {board.slug for board in boards(results)}
    assert len(slugs) == len(names)
    assert all(slug.isascii() and "/" not in slug for slug in slugs)
