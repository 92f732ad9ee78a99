"""Where `score`, `label` and `compare` write: links, pipes, devices, and with standard output closed or narrow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.scoring.outputs import csv_safe
from fedmrg_core.metrics import java as java_module
from fedmrg_core.paths import ROOT

TOOLS = {name: str(shutil.which(name)) for name in ("head", "cat")}


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of two pairs; Java is not asked for."""
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)
    file = tmp_path / "pairs.csv"
    file.write_text("reference,hypothesis,report,hospital\nHeart normal.,Heart normal.,Edema.,Klinik \u00c4\n,a,b,x\n")
    return file


def outputs(pairs: Path, target: Path) -> list[list[str]]:
    """Every command with every option that names a file, writing to `target`."""
    return [
        ["score", str(pairs), "--resamples", "0", "--json", str(target)],
        ["score", str(pairs), "--resamples", "0", "--per-study", str(target)],
        ["label", str(pairs), "--out", str(target)],
        ["compare", str(pairs), str(pairs), "--draws", "100", "--json", str(target)],
    ]


def test_a_link_stays_a_link_and_its_target_is_replaced(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "real", tmp_path / "link"
    link.symlink_to(target)
    for words in outputs(pairs, link):
        target.write_text("old")
        assert main(words) == 0
        assert link.is_symlink()
        assert target.stat().st_size > 3
    assert [path.name for path in target.parent.iterdir()] == ["real"]


def test_a_pipe_gets_the_content_and_stays_a_pipe(pairs: Path, tmp_path: Path) -> None:
    pipe, seen = tmp_path / "pipe", []
    os.mkfifo(pipe)
    for words in outputs(pairs, pipe):
        reader = threading.Thread(target=lambda: seen.append(pipe.read_bytes()))
        reader.start()
        assert main(words) == 0
        reader.join(timeout=30)
        assert pipe.is_fifo()
    assert json.loads(seen[0])["n"] == 2
    assert seen[1].startswith(b"PAR1")
    assert seen[2].startswith(b"id,Enlarged Cardiomediastinum")
    assert json.loads(seen[3])["n"] == 2


def test_a_device_is_written_to_not_replaced(pairs: Path) -> None:
    for words in outputs(pairs, Path(os.devnull)):
        assert main(words) == 0
    assert Path(os.devnull).is_char_device()


def shell(command: str, pairs: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell line in the file's folder, with `fedmrg` of this tree, `head`, `cat`, and no Java."""
    tools = pairs.parent / "tools"
    tools.mkdir(exist_ok=True)
    for name, program in TOOLS.items():
        if not (tools / name).exists():
            (tools / name).symlink_to(program)
    script = f'fedmrg() {{ "{sys.executable}" -m benchmark.cli "$@"; }}; set -o pipefail; {command}'
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": str(tools), **environment}
    return subprocess.run(
        ["/bin/bash", "-c", script], cwd=pairs.parent, text=True, capture_output=True, env=variables
    )


def test_files_are_written_when_nobody_reads_standard_output_or_it_is_closed(pairs: Path) -> None:
    assert shell("fedmrg score pairs.csv --resamples 0 --json a.json | head -1", pairs).returncode == 0
    closed = shell("fedmrg label pairs.csv --out l.csv >&-", pairs)
    assert (closed.returncode, closed.stderr) == (0, "")
    assert json.loads((pairs.parent / "a.json").read_text())["n"] == 2
    assert len(pd.read_csv(pairs.parent / "l.csv")) == 2


def test_a_name_that_the_terminal_cannot_show_costs_no_score(pairs: Path) -> None:
    done = shell("fedmrg score pairs.csv --resamples 0 --json a.json", pairs, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Klinik \\xc4" in done.stdout
    assert "Klinik \u00c4" in json.loads((pairs.parent / "a.json").read_text())["hospitals"]


def test_a_file_that_is_standard_output_stays_free_of_messages(pairs: Path) -> None:
    labels = shell("fedmrg label pairs.csv --out /dev/stdout", pairs)
    assert len(labels.stdout.splitlines()) == 3
    assert "2 reports labelled" in labels.stderr
    scores = shell("fedmrg score pairs.csv --resamples 0 --json /dev/stdout | cat", pairs)
    assert json.loads(scores.stdout)["n"] == 2
    assert "2 reports; value" in scores.stderr


def test_a_spreadsheet_runs_no_id_as_a_formula(tmp_path: Path) -> None:
    ids = ["=HYPERLINK(1)", "+x", "-1", "@x", "study 1", ""]
    assert csv_safe(ids) == ["'=HYPERLINK(1)", "'+x", "-1", "'@x", "study 1", ""]
    pd.DataFrame({"id": ids, "report": "Edema."}).to_csv(tmp_path / "r.csv", index=False)
    assert main(["label", str(tmp_path / "r.csv"), "--out", str(tmp_path / "l.csv")]) == 0
    assert "\n'=HYPERLINK(1)," in (tmp_path / "l.csv").read_text()


def test_terminal_escapes_in_names_do_not_reach_the_terminal(
    pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"hospital": ["\x1b[31mred", "x\ry"], "id": ["\x1b]0;t"] * 2}
    file = pairs.with_name("e.jsonl")
    table = pd.DataFrame({"reference": ["a", "b"], "hypothesis": ["a", "b"], **names})
    table.to_json(file, orient="records", lines=True)
    assert main(["score", str(file), "--resamples", "0"]) == 0
    printed = capsys.readouterr().out
    assert "?[31mred" in printed
    assert not {"\x1b", "\r"} & set(printed)
