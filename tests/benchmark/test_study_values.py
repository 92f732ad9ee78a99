"""The values of single studies that are committed beside a result."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.board.study_values import commit_values, packed, read, values_path
from fedmrg_core.errors import DataError
from fedmrg_core.runfolder import PER_STUDY


def commit(result: dict, table: pd.DataFrame, root: Path) -> Path:
    run = root / "runs" / "one"
    run.mkdir(parents=True, exist_ok=True)
    table.to_parquet(run / PER_STUDY)
    values_path(result, root).parent.mkdir(parents=True, exist_ok=True)
    commit_values(result, run, root)
    return values_path(result, root)


def test_the_scores_come_back_from_the_counts_of_studies(tmp_path, result, table):
    path = commit(result, table, tmp_path)
    assert path.name == "fedmrg--s0.npz"
    values = read(result, tmp_path)["test/global"]
    assert values.patients.tolist() == [0, 1, 2, 0, 1, 2]
    assert values.hospitals.tolist() == [1, 0, 1, 0, 1, 0]
    assert {"ce_f1_micro14", "ce_f1_macro14", "bleu4", "rougeL"} <= values.rows.keys()
    assert values.rows["ce_f1_micro14"] is values.rows["ce_f1_macro14"], "one family, one table"


def test_equal_values_give_equal_bytes_in_any_order_without_ids(table):
    content = packed(table)
    assert packed(table.iloc[::-1]) == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        plain = b"".join(archive.read(name) for name in archive.namelist())
    for text in ("study-0", "ann", "h01", "effusion"):
        assert text.encode() not in plain
        assert text.encode("utf-32-le") not in plain


def test_values_that_do_not_give_the_results_scores_are_refused(tmp_path, result, table):
    commit(result, table, tmp_path)
    result["scores"]["test/global/bleu4"]["value"] += 0.001
    with pytest.raises(DataError, match=r"fedmrg--s0\.npz: does not give the result's test/global/bleu4"):
        read(result, tmp_path)


def object_file() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, facts=np.array([{"evil": pickle.dumps(print)}], dtype=object))
    return stream.getvalue()


def with_array(content: bytes, name: str, array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    with np.load(io.BytesIO(content)) as arrays:
        np.savez(stream, **{**arrays, name: array})
    return stream.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: object_file(),
        lambda content: with_array(content, "facts", np.array("[]")),
        lambda content: with_array(content, "test/global/patients", np.arange(5)),
        lambda content: with_array(content, "test/global/hospitals", np.arange(6) - 1),
        lambda content: with_array(content, "test/global/0", np.full((6, 10), np.nan)),
    ],
)
def test_a_damaged_file_is_named(tmp_path, result, table, damage):
    path = commit(result, table, tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"fedmrg--s0\.npz: [^\n]+$"):
        read(result, tmp_path)


@pytest.mark.parametrize("change", [{"private": True}, {"private": None}])
def test_of_a_private_source_no_values_are_committed_and_older_ones_go(tmp_path, result, table, change):
    path = commit(result, table, tmp_path)
    assert path.exists()
    commit({**result, "provenance": {**result["provenance"], **change}}, table, tmp_path)
    assert not path.exists()
    assert read(result, tmp_path) is None
