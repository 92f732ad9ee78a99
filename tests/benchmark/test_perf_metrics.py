"""The metrics benchmark runs and says what it measured; how fast is no test's business."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.perf import metrics


def test_pairs_are_drawn_from_a_column_and_a_case_is_timed(tmp_path: Path) -> None:
    (tmp_path / "reports.csv").write_text('findings\nLungs are clear.\n""\nHeart normal.\n')
    pairs = metrics.draw(tmp_path / "reports.csv", "findings", 20)
    assert {text for pair in pairs for text in pair} == {"Lungs are clear.", "Heart normal."}
    (tmp_path / "pairs.json").write_text(json.dumps({"texts": pairs, "tokens": pairs}))
    assert metrics.measure("BLEU", tmp_path / "pairs.json", tmp_path) > 0


def test_the_table_has_medians_ranges_and_ratios() -> None:
    text = metrics.table({"ours": [3.0, 5.0, 4.0], "METEOR": [2.0, 2.0, 8.0]})
    assert "| ours | 4.0 (3.0 to 5.0) | 1.00 |" in text
    assert "| METEOR | 2.0 (2.0 to 8.0) | 2.00 |" in text
