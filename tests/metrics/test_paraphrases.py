"""METEOR's cut paraphrase table: which pairs it has, when it is cut again, and that it changes no score."""

from __future__ import annotations

import errno
import gzip
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from fedmrg_core.metrics import java as java_module
from fedmrg_core.metrics import paraphrases
from tests.metrics.conftest import PAIRS

TABLE = [("0.5", "large heart", "big heart"), ("0.4", "big", "large"), ("0.1", "clear", "obvious"), ("0.2", "'s", "is")]


def lines(file: Path) -> list[str]:
    return gzip.decompress(file.read_bytes()).decode().split()


def test_a_cut_table_holds_the_pairs_of_the_texts_words_and_grows_with_new_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDMRG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    with gzip.open(tmp_path / paraphrases.FULL, "wb") as stream:
        stream.write("".join(f"{line}\n" for row in TABLE for line in row).encode())
    with paraphrases.table(tmp_path, ["A BIG, large thing"]) as option:
        assert lines(Path(option[1])) == ["0.4", "big", "large"]
    with paraphrases.table(tmp_path, ["big xyzzy"]) as option:  # a word that no paraphrase has asks for nothing
        assert option[1].startswith(str(tmp_path / "cache"))
    with paraphrases.table(tmp_path, ["the heart"]) as option:
        assert lines(Path(option[1])) == ["0.5", "large", "heart", "big", "heart", "0.4", "big", "large"]
    assert len(list((tmp_path / "cache").rglob("table.gz"))) == 1


def test_without_room_to_cut_it_the_full_table_is_read_and_the_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("FEDMRG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(paraphrases, "cut", full)
    (tmp_path / "data").mkdir()
    (tmp_path / paraphrases.FULL).write_bytes(b"")
    with paraphrases.table(tmp_path, ["big heart"]) as option:
        assert option == []
    assert f"the folder for temporary files, {tmp_path} (No space left on device)" in caplog.text


@pytest.mark.slow
def test_the_full_table_gives_the_same_statistics(java: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = java_module.meteor_stats(PAIRS)
    monkeypatch.setattr(paraphrases, "table", lambda folder, texts: nullcontext([]))
    np.testing.assert_array_equal(java_module.meteor_stats(PAIRS), cut)
