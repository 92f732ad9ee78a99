"""Texts that the labelers cannot read are noted, not scored in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli import main
from fedmrg_core.data.phantom import grammar
from fedmrg_core.metrics import java as java_module
from fedmrg_core.metrics.labeler import agreement
from fedmrg_core.metrics.labeler.language import not_english, reads_as_english

FOREIGN = [
    "No se observa derrame pleural ni neumot\u00f3rax. Silueta card\u00edaca de tama\u00f1o normal.",
    "Kein Pleuraerguss, kein Pneumothorax. Herz normal gro\u00df.",
    "Pas d'\u00e9panchement pleural. Pas de pneumothorax. Coeur de taille normale.",
    "Cuore di dimensioni normali. Non versamento pleurico.",
    "Cora\u00e7\u00e3o de tamanho normal. Sem derrame pleural.",
    "\u5fc3\u5f71\u4e0d\u5927\uff0c\u53cc\u80ba\u7eb9\u7406\u6e05\u6670\uff0c\u672a\u89c1\u80f8\u8154\u79ef\u6db2\u3002",
    "\u0421\u0435\u0440\u0434\u0446\u0435 \u043d\u0435 \u0443\u0432\u0435\u043b\u0438\u0447\u0435\u043d\u043e.",
]
ENGLISH = ["", "XXXX", "Heart normal", "ETT in situ.", "No PTX.", "heart size normal . no effusion .", "CLEAR LUNGS."]


def test_foreign_reports_are_told_from_english_ones() -> None:
    assert [text for text in FOREIGN if reads_as_english(text)] == []
    assert [text for text in ENGLISH if not reads_as_english(text)] == []
    assert not_english(text for text, *_ in grammar.all_phrases()) == 0


def test_every_real_report_reads_as_english(shared_data: Path) -> None:
    reports = agreement.read(shared_data)
    assert not_english([r.findings for r in reports] + [r.impression for r in reports]) == 0
    notes = pd.read_csv(shared_data / "cxr_notes_224" / "metadata.csv")["clinical_notes"].dropna()
    assert not_english(notes) == 0


def test_score_and_label_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)
    texts = [*FOREIGN[:2], "Small left pleural effusion."]
    pd.DataFrame({"reference": texts, "hypothesis": texts, "report": texts}).to_csv(tmp_path / "t.csv", index=False)
    said = "2 of 3 texts do not look English. The labelers read English only"
    assert main(["score", str(tmp_path / "t.csv"), "--resamples", "0", "--json", str(tmp_path / "s.json")]) == 0
    assert f"note: column reference: {said}" in capsys.readouterr().out
    notes = json.loads((tmp_path / "s.json").read_text())["notes"]
    assert [note.split(":")[0] for note in notes] == ["column reference", "column hypothesis"]
    assert main(["label", str(tmp_path / "t.csv"), "--out", str(tmp_path / "l.csv")]) == 0
    assert f"note: column report: {said}" in capsys.readouterr().out
