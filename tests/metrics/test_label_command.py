"""`fedmrg label` as a user calls it."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli import main
from fedmrg_core.types import CONDITIONS


def test_labels_come_out_as_chexberts_files_have_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports = ["Possible edema. No effusion.", "", "Lungs are clear."]
    pd.DataFrame({"report": reports, "id": ["x", "y", "z"]}).to_csv(tmp_path / "r.csv", index=False)
    assert main(["label", str(tmp_path / "r.csv"), "--out", str(tmp_path / "l.csv")]) == 0
    with (tmp_path / "l.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["id", *CONDITIONS]
    assert [rows[0][name] for name in ("id", "Edema", "Pleural Effusion", "No Finding")] == ["x", "-1", "0", "0"]
    assert not any(rows[1][name] for name in CONDITIONS)
    assert rows[2]["No Finding"] == "1"
    assert "3 reports labelled" in capsys.readouterr().out


def test_an_output_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("report\nEdema.\n")
    assert main(["label", str(tmp_path / "r.csv"), "--out", str(tmp_path / "none" / "l.csv")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]


def test_chexbert_labels_from_the_command(checkpoint: Path, tmp_path: Path) -> None:
    pd.DataFrame({"report": ["Small effusion.", "No effusion."]}).to_csv(tmp_path / "t.csv", index=False)
    chosen = ["--labeler", "chexbert", "--weights", str(checkpoint)]
    assert main(["label", str(tmp_path / "t.csv"), "--out", str(tmp_path / "l.csv"), *chosen]) == 0
    assert len(pd.read_csv(tmp_path / "l.csv")) == 2
