"""A resumed run has the data, split and base that it was begun with; other code is said and counts as dirty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.run.origin import ResumeRefused, settle_origin
from fedmrg_core.runfolder import ORIGIN, RunFolder

FACTS: dict[str, Any] = {
    "data_sha256": "d" * 64, "split_sha256": "s" * 64, "model_sha256": "m" * 64,
    "git_sha": "a" * 40, "dirty": False, "versions": {"torch": "2"}, "machine": "x",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "r1")


def test_the_same_origin_is_no_news(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert settle_origin(folder, FACTS) == settle_origin(folder, {**FACTS, "seconds": 1}) == {}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("key", "what"), [("data_sha256", "data"), ("split_sha256", "split"), ("model_sha256", "base")]
)
def test_other_data_split_or_base_is_refused_and_changes_no_file(folder: RunFolder, key: str, what: str) -> None:
    settle_origin(folder, FACTS)
    before = (folder.path / ORIGIN).read_bytes()
    with pytest.raises(ResumeRefused, match=f"r1 was begun with other {what} .* begin a new run"):
        settle_origin(folder, {**FACTS, key: "0" * 64})
    assert (folder.path / ORIGIN).read_bytes() == before


@pytest.mark.parametrize("change", [{"git_sha": "b" * 40}, {"dirty": True}, {"versions": {}}, {"machine": "y"}])
def test_other_code_is_said_and_named_for_good(
    folder: RunFolder, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    settle_origin(folder, FACTS)
    found = settle_origin(folder, {**FACTS, **change})
    assert found["dirty"] is True
    assert [code["git_sha"] for code in found["codes"]] == ["a" * 40, change.get("git_sha", "a" * 40)]
    (line,) = capsys.readouterr().err.splitlines()
    assert "counts as dirty" in line
    assert settle_origin(folder, FACTS) == found


def test_checkpoints_without_an_origin_are_not_trusted(folder: RunFolder) -> None:
    (folder.path / "checkpoints").mkdir()
    with pytest.raises(ResumeRefused, match="begin a new run"):
        settle_origin(folder, FACTS)


def test_a_damaged_origin_is_one_line(folder: RunFolder) -> None:
    (folder.path / ORIGIN).write_text("{")
    with pytest.raises(ResumeRefused, match=r"origin\.json: is damaged: .*; begin a new run"):
        settle_origin(folder, FACTS)
