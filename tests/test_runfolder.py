"""Files that survive a crash: whole lines, whole files."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fedmrg_core.errors import ConfigError, DataError
from fedmrg_core.files import write_atomic
from fedmrg_core.runfolder import RunFolder, run_folder


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs" / "r1")


def round_row(n):
    sizes = {"upload_bytes": 8, "download_bytes": 0}
    return {"round": n, "clients": ["h01"], "loss": np.float32(0.5), "seconds": {"total": 1.0}, **sizes}


def ledger_rows(n):
    base = {"round": n, "client": "h01", "direction": "upload"}
    return [{**base, "group": group, "bytes": 4} for group in ("delta", "prototype")]


def fill(folder, rounds):
    for n in rounds:
        folder.append_ledger(ledger_rows(n))
        folder.append_round(round_row(n))


def test_rows_come_back_in_order(folder):
    fill(folder, range(2))
    assert [row["loss"] for row in folder.rounds()] == [0.5, 0.5]
    assert folder.ledger() == ledger_rows(0) + ledger_rows(1)


def test_numbers_that_json_has_not_become_null(folder):
    folder.append_round({"round": 0, "loss": float("nan"), "norm": np.float64("inf"), "ids": np.arange(2)})
    text = (folder.path / "rounds.jsonl").read_text()
    assert json.loads(text) == {"round": 0, "loss": None, "norm": None, "ids": [0, 1]}


def test_a_line_torn_by_a_crash_is_neither_read_nor_built_upon(folder):
    fill(folder, range(2))
    path = folder.path / "rounds.jsonl"
    with path.open("ab") as file:
        file.write(b'{"round": 2, "lo')
    assert [row["round"] for row in folder.rounds()] == [0, 1]
    folder.append_round(round_row(2))
    assert [row["round"] for row in folder.rounds()] == [0, 1, 2]


def test_a_resumed_runs_files_equal_those_of_one_never_killed(tmp_path):
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    fill(whole, range(4))
    fill(killed, range(3))
    killed.append_ledger(ledger_rows(3)[:1])
    resumed = RunFolder(killed.path)
    resumed.truncate_to_round(2)
    fill(resumed, range(2, 4))
    for name in ("rounds.jsonl", "ledger.jsonl"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_result_appears_whole_or_not_at_all(folder, monkeypatch):
    assert folder.result() is None
    folder.write_result({"status": "finished"})
    monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        folder.write_result({"status": "failed"})
    assert folder.result() == {"status": "finished"}


def test_writing_makes_the_folders_above(tmp_path):
    write_atomic(tmp_path / "a" / "b" / "c.txt", b"x")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.txt"]


def test_generations_come_back_as_they_were(folder):
    frame = pd.DataFrame({"study_id": ["s1"], "labels": [[0, 1, 2]], "hypothesis": ["Die Lunge ist klar. \n"]})
    folder.write_generations(frame)
    back = pd.read_parquet(folder.path / "generations.parquet")
    assert back.hypothesis.tolist() == frame.hypothesis.tolist()
    assert back.labels[0].tolist() == [0, 1, 2]


def test_only_the_owner_enters_a_new_run_folder(folder):
    assert folder.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("text", ["{", "[1]", "", "\x00", "[" * 100_000])
def test_a_damaged_file_is_one_line_that_names_it(folder, text):
    (folder.path / "result.json").write_text(text)
    with pytest.raises(DataError, match=r"result\.json: is damaged"):
        folder.result()


def test_a_finished_result_has_scores_or_is_damaged(folder):
    folder.write_result({"status": "failed"})
    assert folder.finished() is None
    folder.write_result({"status": "finished", "run_id": "r1", "config": {}})
    with pytest.raises(DataError, match=r"it lacks 'scores'; delete it, and `fedmrg bench --resume r1`"):
        folder.finished()


@pytest.mark.parametrize("line", ["{", "7", '{"loss": 1}', '{"round": "0"}', "[" * 100_000])
def test_a_damaged_line_is_one_line_with_its_number(folder, line):
    fill(folder, range(1))
    with (folder.path / "rounds.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"rounds\.jsonl: line 2 is damaged"):
        folder.rounds()


@pytest.mark.parametrize("run_id", ["..", "../r1", "r1/../r1", "/tmp", "", ".", "r2", "r1/"])
def test_a_run_is_named_by_its_folder_alone(folder, run_id):
    (folder.path / "config.json").write_text("{}")
    assert run_folder(folder.path.parent, "r1") == folder.path
    with pytest.raises(ConfigError, match="unknown run"):
        run_folder(folder.path.parent, run_id)


def test_lines_are_complete_or_the_missing_one_is_named(folder):
    fill(folder, range(3))
    folder.check_complete(3)
    path = folder.path / "ledger.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    folder.check_complete(2)
    with pytest.raises(DataError, match=r"ledger\.jsonl: lacks lines of round 2"):
        folder.check_complete(3)
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"rounds\.jsonl: has 0 lines of round 3"):
        folder.check_complete(4)
    folder.append_round(round_row(1))
    with pytest.raises(DataError, match=r"has 2 lines of round 1"):
        folder.check_complete(3)


def test_two_processes_cannot_run_the_same_run(folder):
    code = (
        "import sys; from pathlib import Path; from fedmrg_core.runfolder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked(): print('ran')"
    )
    command = [sys.executable, "-c", code, str(folder.path)]
    with folder.locked():
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith("run r1 is being run by another process: wait or stop it")
    assert subprocess.run(command, capture_output=True, text=True).stdout == "ran\n"
