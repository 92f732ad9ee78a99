"""The engine benchmark runs and says what it measured; how fast is no test's business."""

from __future__ import annotations

from benchmark.perf.engine import table
from benchmark.perf.noop import Case, measure


def test_a_row_names_its_case_and_the_table_has_it() -> None:
    row = measure("serial", Case(clients=3, actors=2, payload_mb=0.1, rounds=3))
    assert (row["engine"], row["clients"], row["payload_mb"]) == ("serial", 3, 0.1)
    assert row["round_s"] > 0
    assert "| 3 | 2 | 0.1 | 0 | serial |" in table([row])
