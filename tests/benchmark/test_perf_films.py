"""The film benchmark runs and says what it measured; how fast is no test's business."""

from __future__ import annotations

from benchmark.perf.films import Case, measure, table


def test_every_engine_has_a_row_and_the_cache_a_size() -> None:
    rows = measure(Case("small", "jpg", 40, 32, 16), count=9, repeats=1)
    assert [row["engine"] for row in rows] == ["plain Pillow", "our reader", "our cache, built", "our cache, read"]
    assert all(row["cpu"] > 0 and row["wall"] > 0 for row in rows)
    assert rows[0]["cache_bytes"] >= 16 * 16
    assert table(rows).count("\n") == 5
