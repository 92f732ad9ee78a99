"""What a board's page shows, whatever its form."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from benchmark.board.boards import boards
from benchmark.board.view import FORMALISATION, ONE_DATA, Page, Section, Table, board_page, index_page

SCORES = ("CE F1 micro", "CE F1 macro", "BLEU-4", "ROUGE-L", "NLL, nats per token \u2193")


def page_of(results: Sequence[dict]) -> Page:
    (board,) = boards(results)
    return board_page(board)


def section(page: Page, title: str) -> Section:
    return next(found for found in page.sections if found.title == title)


def texts(table: Table) -> list[list[str]]:
    """Name and cells of each row; an interval follows its value."""
    return [[line.name, *(f"{cell.text} {cell.interval}".strip() for cell in line.cells)] for line in table.lines]


def test_a_view_is_a_table_of_ranked_rows(make_result):
    page = page_of([make_result("constant", value=0.2), make_result(value=0.5)])
    (table,) = section(page, "Own hospitals, personal view").tables
    assert table.columns == (*SCORES, "CE F1 micro, worst hospital", "CE F1 micro, worst by chance")
    assert [row[:2] for row in texts(table)] == [["fedmrg", ".500 .450 to .550"], ["constant", ".200 .150 to .250"]]
    assert [(line.noted, line.trivial) for line in table.lines] == [(True, False), (False, True)]


def test_bars_are_in_percent_of_the_columns_highest_end(make_result):
    page = page_of([make_result("constant", value=0.17), make_result(value=0.5)])
    (table,) = section(page, "Unseen hospitals").tables
    bar = table.lines[1].cells[0].bar
    assert (round(bar.value), round(bar.low), round(bar.high)) == (31, 22, 40)  # .17, .12, .22 of .55


def test_the_note_on_fedmrg_is_shown_only_where_it_is_ranked(make_result):
    assert page_of([make_result("fedmrg-lite")]).footnote == f"fedmrg: {FORMALISATION}."
    assert page_of([make_result("fedavg")]).footnote == ""


def test_a_score_that_a_row_lacks_is_a_dash(make_result):
    less = make_result("fedavg")
    del less["scores"]["test/global/bleu4"]
    (table,) = section(page_of([less, make_result()]), "Own hospitals, global view").tables
    assert [row[3] for row in texts(table)] == ["-", ".500 .450 to .550"]


@pytest.mark.parametrize("title", ["Own hospitals, personal view", "Unseen hospitals", "Costs"])
def test_rows_of_fewer_draws_have_a_table_of_their_own(make_result, title):
    results = [make_result(seed=0), make_result(seed=1), make_result("fedavg", value=0.9)]
    whole, fewer = section(page_of(results), title).tables
    assert ([row[0] for row in texts(whole)], whole.note) == (["fedmrg"], "")
    assert [row[0] for row in texts(fewer)] == ["fedavg"]
    assert "compare no number" in fewer.note


def test_the_head_is_shown_next_to_the_text_for_rows_that_have_one(make_result):
    result = make_result()
    result["scores"]["test/personal/head_f1_micro14"] = {**result["scores"]["test/personal/bleu4"], "value": 0.765}
    page = page_of([result, make_result("constant", value=0.1)])
    table = section(page, "The diagnosis head next to the text").tables[0]
    assert table.title == "Own hospitals, personal view"
    assert [row[0] for row in texts(table)] == ["fedmrg"]
    assert texts(table)[0][2].startswith(".765")
    assert not [found for found in page_of([make_result()]).sections if "head" in found.title]


def test_scores_that_older_results_lack_are_dashes(make_result):
    older = make_result("fedavg", value=0.4)
    for key in [key for key in older["scores"] if key.endswith(("/nll", "/shuffled_worst_ce_f1_micro14"))]:
        del older["scores"][key]
    page = page_of([older, make_result(value=0.5)])
    (table,) = section(page, "Own hospitals, personal view").tables
    assert texts(table)[1] == ["fedavg", *[".400 .350 to .450"] * 4, "-", ".400 .350 to .450", "-"]
    assert not {"What the reports are like", "Condition by condition"} & {found.title for found in page.sections}


def test_form_and_conditions_have_tables_of_their_own(make_result):
    result = make_result(value=0.5)
    likeness = {**result["scores"]["test/personal/bleu4"], "value": 0.43, "low": 0.4, "high": 0.5}
    new = ("repeated", "contradiction", "ce_f1_pleural_effusion")
    result["scores"] |= {f"test/personal/{key}": likeness for key in new}
    page = page_of([result])
    (form,) = section(page, "What the reports are like").tables
    assert set(form.columns) == {"say a sentence twice \u2193", "contradict themselves \u2193"}, "no empty column"
    assert texts(form)[0][1:] == [".430 .400 to .500"] * 2
    (conditions,) = section(page, "Condition by condition").tables
    assert conditions.columns == ("Pleural Effusion",)
    assert texts(conditions)[0][1:] == [".430"]


def test_differences_from_the_reference_carry_interval_and_p(make_result):
    values = {"fedavg": (0.1, 0.2, 0.3), "fedmrg": (0.2, 0.4, 0.6)}
    results = [make_result(name, seed=s, value=v) for name, row in values.items() for s, v in enumerate(row)]
    table = section(page_of(results), "Differences from fedavg").tables[0]
    assert table.columns == SCORES, "not the worst hospital"
    (row,) = texts(table)
    assert row[0] == "fedmrg"
    assert all(re.fullmatch(r"\+\.200 \+\.0\d\d to \+\.3\d\d, p \.00[1-9]", text) for text in row[1:])


def test_a_row_with_fewer_draws_has_its_differences_in_a_table_of_its_own(make_result):
    results = [make_result("fedavg", seed, value) for seed, value in enumerate((0.1, 0.2, 0.3))]
    results += [make_result("fedprox", seed, value) for seed, value in enumerate((0.2, 0.4, 0.6))]
    page = page_of([*results, make_result("fedmrg", seed=1, value=0.5)])
    own, single, *_ = section(page, "Differences from fedavg").tables
    assert [row[0] for row in texts(own)] == ["fedprox"]
    (row,) = texts(single)
    assert row[1].startswith("+.300 +.2")
    assert "compare no number" in single.note


def test_a_variant_is_compared_with_its_method_on_common_draws(make_result):
    def variant(name: str, seed: int, value: float):
        made = make_result(name, seed=seed, value=value)
        return {**made, "config": {**made["config"], "method": "fedmrg"}}

    results = [variant("fedmrg", seed, value) for seed, value in enumerate((0.4, 0.5, 0.6))]
    results += [variant("fedmrg-lite", seed, value) for seed, value in enumerate((0.3, 0.4, 0.5))]
    page = page_of([*results, variant("fedmrg-noprompts", 1, 0.45)])
    whole, single, *_ = section(page, "Variants less their method").tables
    assert [row[:1] + row[1][:5].split() for row in texts(whole)] == [["fedmrg-lite less fedmrg", "-.100"]]
    assert whole.note == "3 common draws."
    assert [row[:1] + row[1][:5].split() for row in texts(single)] == [["fedmrg-noprompts less fedmrg", "-.050"]]
    assert single.note == "1 common draw."
    assert not [found for found in page_of([make_result()]).sections if "Variants" in found.title]


def test_nothing_sorts_by_the_worst_hospital(make_result):
    table = section(page_of([make_result()]), "Own hospitals, personal view").tables[0]
    assert [title for title in table.columns if "worst" in title] == list(table.fixed) != []


def test_rows_without_per_study_values_are_named(make_result):
    notes = page_of([make_result()]).method
    assert any(note.startswith("Without committed values of single studies: all rows.") for note in notes)


def test_rows_that_cannot_be_told_from_the_first_are_named(make_result):
    values = {"fedmrg": (0.5, 0.6, 0.7), "fedprox": (0.4, 0.7, 0.67)}
    results = [make_result(name, seed=s, value=v) for name, row in values.items() for s, v in enumerate(row)]
    note = page_of(results).notes[-1]
    assert note.startswith("Not distinguishable from the first row in CE F1 micro")
    assert note.endswith(": fedprox.")
    lines = section(page_of(results), "Own hospitals, personal view").tables[0].lines
    assert [(line.name, line.tied) for line in lines] == [("fedmrg", False), ("fedprox", True)]
    assert index_page(boards(results)).entries[0].ties == "fedmrg, fedprox"


def test_seeds_on_the_same_data_are_ranked_with_a_warning(make_result):
    def same_data(name: str, seed: int, value: float):
        made = make_result(name, seed, value)
        return {**made, "provenance": {**made["provenance"], "data_sha256": "real"}}

    results = [same_data(name, seed, value) for name, value in (("fedmrg", 0.5), ("fedavg", 0.6)) for seed in (0, 1)]
    assert ONE_DATA in page_of(results).notes
    (entry,) = index_page(boards(results)).entries
    assert entry.leaders[0] == "fedavg .600"
    assert ONE_DATA not in page_of([make_result(seed=seed) for seed in (0, 1)]).notes


def test_without_common_draws_there_is_no_section_of_differences(make_result):
    page = page_of([make_result(seed=0), make_result("fedprox", seed=1)])
    assert not [found for found in page.sections if "Differences" in found.title]


def test_costs_and_seeds(make_result):
    (table,) = section(page_of([make_result(), make_result(seed=1)]), "Costs").tables
    assert texts(table) == [["fedmrg", "2.00", "4.00", "2", "2"]]


def test_training_costs_cpu_seconds_where_they_were_recorded_and_no_gpu_did_the_work(make_result):
    def run(name: str, device: str):
        made = make_result(name)
        return {**made, "provenance": {**made["provenance"], "device": device, "client_cpu_seconds": 123.4}}

    page = page_of([run("fedavg", "cpu x, float32"), run("fedprox", "NVIDIA H100, float32"), make_result()])
    (table,) = section(page, "Costs").tables
    assert table.columns[2] == "training, CPU s"
    assert {row[0]: row[3] for row in texts(table)} == {"fedavg": "123.4", "fedprox": "-", "fedmrg": "-"}


def test_failed_and_incomparable_runs_are_listed(make_result):
    failed = make_result("fedprox", status="failed", scores={}, error="ClientError: loss is not finite\nat round 3")
    page = page_of([make_result(bench_version="2"), make_result("fedavg", bench_version="1"), failed])
    assert section(page, "Failed runs").items == ("fedprox, seed 0: failed: ClientError: loss is not finite",)
    assert section(page, "Not comparable with the rows above").items == (
        "fedavg, seed 0 (CE F1 micro .500): bench_version 1, not 2",
    )


def test_a_board_without_a_finished_run_says_so(make_result):
    page = page_of([make_result(status="failed", scores={})])
    assert page.notes == ("No finished result yet.",)
    assert section(page, "Failed runs").items == ("fedmrg, seed 0: failed: no reason recorded",)


def test_without_results_the_index_says_what_makes_them():
    assert index_page([]).note.startswith("No result is committed yet")


def test_a_single_seed_has_no_leader(make_result):
    (entry,) = index_page(boards([make_result(value=0.5), make_result("fedavg", value=0.6)])).entries
    assert entry.leaders == ("not ranked: one seed",) * 3
    assert (entry.draws, entry.ties) == (1, "")


def test_leaders_are_trained_rows_and_lower_is_better_for_nll(make_result):
    rows = {"constant": 0.9, "fedmrg": 0.5, "fedavg": 0.4, "fedprox": 0.49}
    results = [make_result(name, seed=seed, value=value) for name, value in rows.items() for seed in (0, 1)]
    index = index_page(boards([*results, make_result("fedlora", value=0.8)]))
    assert index.columns == ("CE F1 micro", "BLEU-4", "NLL, nats per token \u2193")
    (entry,) = index.entries
    assert entry.leaders == ("fedmrg .500", "fedmrg .500", "fedavg .400"), "fedlora has fewer draws"
    assert (entry.slug, entry.rows, entry.draws) == ("phantom-ci--tiny", 5, 2)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_bars_and_intervals_stay_in_the_range_of_a_score(make_result, value):
    wide = {"value": value, "low": max(0.0, value - 0.4), "high": min(1.0, value + 0.4)}
    results = [make_result("fedavg", seed=seed) for seed in range(3)]
    for result in results:
        result["scores"] = {key: {**score, **wide} for key, score in result["scores"].items()}
    (board,) = boards(results)
    scores = [found for key, found in board.rows[0].estimates.items() if "/" in key and not key.endswith("nll")]
    assert all(0 <= found.low <= found.value <= found.high <= 1 for found in scores)
    cells = [c for s in board_page(board).sections for t in s.tables for line in t.lines for c in line.cells if c.bar]
    assert cells
    assert all(0 <= bar.low <= bar.high <= 100 for cell in cells if (bar := cell.bar))
