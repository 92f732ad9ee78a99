"""The table that `fedmrg bench` prints, made from committed results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.run.score_table import WIDTH, board_rows, hospital_table, next_steps, score_table
from fedmrg_core.metrics.catalogue import VIEWS
from fedmrg_core.paths import ROOT

RESULTS = sorted((ROOT / "leaderboards/results/phantom/group/tiny").glob("*--s0.json"))


def board_row() -> Any:
    return json.loads((ROOT / "leaderboards/results/phantom/group/tiny/fedmrg--s0.json").read_text())


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_it_fits_a_terminal(path: Path) -> None:
    result = json.loads(path.read_text())
    text = f"{score_table(result, board_rows(result))}\n{hospital_table(result)}"
    assert max(len(line) for line in text.splitlines()) <= WIDTH


def test_every_view_has_its_studies_and_its_scores() -> None:
    table, result = score_table(board_row()), board_row()
    counts = [line.split()[1:] for line in table.splitlines() if line.startswith("studies")]
    seen, unseen = (result["scores"][f"{view}/bleu4"]["n"] for view in (VIEWS[0].key, VIEWS[2].key))
    assert counts == [[str(seen), str(seen)], [str(unseen)]]
    (line,) = [line for line in table.splitlines() if line.startswith("BLEU-4") and line.count("[") == 1]
    assert f"{result['scores'][f'{VIEWS[2].key}/bleu4']['value']:.3f} [" in line


def test_it_names_the_next_commands() -> None:
    result = {"split": "phantom/ci", "preset": "tiny", "run_id": "20260101-000000-fedavg-x"}
    said = next_steps(result)
    assert "make ui" in said
    assert "fedmrg compare 20260101-000000-fedavg-x" in said
    assert "'phantom-ci tiny'" in said


def test_the_difference_from_trivial_rows_and_from_the_board() -> None:
    result = board_row()
    result["scores"]["test/personal/bleu4"]["value"] += 0.1
    lines = score_table(result, board_rows(result)).splitlines()
    own = next(line for line in lines if line.startswith("from its row on the board"))
    assert own.split()[6:9] == ["+0.000", "+0.000", "+0.100"], own
    assert sum(line.startswith("from ") for line in lines) == len(board_rows(result))


def test_other_settings_compare_with_trivial_rows_only_and_other_data_with_none() -> None:
    result = board_row()
    result["config"]["train"]["rounds"] = 5
    assert not [name for name in board_rows(result) if name.startswith("its row")]
    assert {"untrained", "constant"} <= board_rows(result).keys()
    result["provenance"]["data_sha256"] = "other"
    assert not board_rows(result)


def test_every_hospital_has_a_line_with_its_own_scores() -> None:
    result = board_row()
    lines = hospital_table(result).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [f"h{at:02d}" for at in range(1, 8)]
    score = result["scores"]["test/personal/h02/ce_f1_micro14"]
    assert lines[2].split()[1:3] == [str(score["n"]), f"{score['value']:.3f}"]
    assert lines[7].endswith("  unseen")


def test_a_run_on_another_part_shows_that_part() -> None:
    result = board_row()
    result["scores"] = {key.replace("test/", "val/"): score for key, score in result["scores"].items()}
    assert "BLEU-4" in score_table(result)
