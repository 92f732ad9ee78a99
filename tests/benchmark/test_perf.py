"""The engine benchmark runs and says what it measured; how fast is no test's business."""

from __future__ import annotations

from pathlib import Path

from benchmark.perf import checkpoint
from benchmark.perf.engine import table
from benchmark.perf.noop import Case, measure


def test_a_row_names_its_case_and_the_table_has_it() -> None:
    row = measure("serial", Case(clients=3, actors=2, payload_mb=0.1, rounds=3))
    assert (row["engine"], row["clients"], row["payload_mb"]) == ("serial", 3, 0.1)
    assert row["round_s"] > 0
    assert "| 3 | 2 | 0.1 | 0 | serial |" in table([row])


def test_the_checkpoint_benchmark_measures_both_ways_side_by_side(tmp_path: Path) -> None:
    rows = checkpoint.measure(tmp_path, megabytes=0.1, rounds=3, products=1)
    assert [row["round"] for row in rows] == [0, 1, 2]
    names = ["checkpoint, blocking", "checkpoint, background", "mlflow, blocking", "mlflow, background"]
    assert all(rows[0]["ms"][name] > 0 for name in names)
    assert "| checkpoint, background |" in checkpoint.table(rows)
    kept = [sorted(path.name for path in (tmp_path / way).iterdir()) for way in ("blocking", "background")]
    assert kept == [["round_00002", "round_00003"]] * 2
