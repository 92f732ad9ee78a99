"""The table that `fedmrg bench` prints, made from committed results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.run.score_table import WIDTH, next_steps, score_table
from fedmrg_core.metrics.catalogue import VIEWS
from fedmrg_core.paths import ROOT

RESULTS = sorted((ROOT / "leaderboards/results/phantom/group/tiny").glob("*--s0.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_it_fits_a_terminal(path: Path) -> None:
    result = json.loads(path.read_text())
    assert max(len(line) for line in score_table(result).splitlines()) <= WIDTH


def test_every_view_has_its_studies_and_its_scores() -> None:
    result = json.loads((ROOT / "leaderboards/results/phantom/group/tiny/fedmrg--s0.json").read_text())
    table = score_table(result)
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
    assert "'phantom/ci tiny'" in said
