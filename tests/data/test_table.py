"""The one reader of tables: encodings, gzip, line ends, ragged rows, words for nothing, damage and bombs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from benchmark.scoring import report_table
from fedmrg_core.data import table_formats
from fedmrg_core.data.table import NULLS, Table, read_table
from fedmrg_core.errors import DataError

TEXT = 'id;report;;\r\n1;"Größe normal;\r\nno effusion.";;\r\n2;Edema.;;\r\n'


def given(folder: Path, content: bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_gzip_line_ends_and_trailing_semicolons(tmp_path: Path, encoding: str, packed: bool) -> None:
    raw = TEXT.encode(encoding)
    path = given(tmp_path, gzip.compress(raw) if packed else raw, "t.csv.gz" if packed else "t.csv")
    table = read_table(path, ("report",))
    assert table.column("report") == ["Größe normal;\nno effusion.", "Edema."]
    assert table.numbers == (2, 3)
    assert list(report_table.read_table(path, ("report",))["report"]) == table.column("report")


def test_a_lone_carriage_return_is_a_line_break_in_a_report_or_ends_every_row(tmp_path: Path) -> None:
    assert read_table(given(tmp_path, b"a,b\n1,x\ry\n2,z\n")).column("b") == ["x\ny", "z"]
    assert read_table(given(tmp_path, b"a,b\r1,x\r2,z\r")).column("b") == ["x", "z"]


def test_words_for_nothing_are_nothing_in_every_format_and_counted(tmp_path: Path) -> None:
    words = [*sorted(NULLS), "NaN", "None", "NULL", "  ", "", "None.", "Nan is her name"]
    frame = pd.DataFrame({"id": [f"s{at}" for at in range(len(words))], "report": words})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        table = read_table(tmp_path / name)
        assert [text for text in table.column("report") if text] == ["None.", "Nan is her name"]
        assert table.nulls == {"report": len(NULLS) + 3}


def test_numbers_nulls_and_missing_keys_of_json_and_parquet(tmp_path: Path) -> None:
    path = given(tmp_path, b'{"id": 1, "x": null}\n\n{"id": 2.5, "report": "a\\u2028b"}\n', "t.jsonl")
    table = read_table(path)
    assert (table.header, table.numbers) == (("id", "x", "report"), (1, 3))
    assert table.rows == (("1", "", ""), ("2.5", "", "a\u2028b"))
    pd.DataFrame({"id": [1, 2], "x": [None, 0.5]}).to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").rows == (("1", ""), ("2", "0.5"))


def test_blank_rows_and_short_rows(tmp_path: Path) -> None:
    path = given(tmp_path, b"a,b\n,\n1,2\n\n3,4,,\n")
    assert read_table(path).rows == (("1", "2"), ("3", "4"))
    assert read_table(path, blank_rows=True).rows == (("", ""), ("1", "2"), ("3", "4"))
    short = given(tmp_path, b"a,b\n1\n")
    with pytest.raises(DataError, match=r"t.csv, row 2: 1 cells, but the header has 2"):
        read_table(short)
    assert read_table(short, ragged=True).column("b") == [""]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"PK", "unknown file format '.xlsx'"),
        ("t.csv.gz", gzip.compress(TEXT.encode(), mtime=0)[:30], "cannot be read"),
        ("t.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("t.jsonl", b"[" * 100_000, "t.jsonl, row 1: is not JSON"),
        ("t.jsonl", json.dumps({"a": "\ud800"}).encode(), "row 1: the row holds half a character"),
        ("t.jsonl", b"\xff\xfe\x00", "t.jsonl: cannot be read"),
    ],
)
def test_damage_is_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_table(given(tmp_path, content, name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line", [b"a,b\n", b"\n", b"a"])
def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(
    tmp_path: Path, line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"MAX_BYTES": 4 << 20, "MAX_ROWS": 50_000, "MAX_CELLS": 100_000, "LONGEST_FIELD": 1 << 20}
    for name, value in limits.items():
        monkeypatch.setattr(table_formats, name, value)
    path = given(tmp_path, gzip.compress(b"x,y\n" + line * (8 << 20)), "t.csv.gz")
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"t.csv.gz: (holds|has) (more than|a line of more than)"):
        read_table(path)


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t.csv: no column 'report'. Is it 'Reports'\? Rename it. Columns: id"):
        read_table(given(tmp_path, b"id,Reports\n1,a\n"), ("report",))
    assert Table("t.csv", ("a",), (), ()).column("b") == []
