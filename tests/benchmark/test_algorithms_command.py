"""`fedmrg algorithms` lists every config with what it sends and keeps; the page's list is checked in test_docs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.run import settings
from benchmark.run.algorithm_list import Entry, entries
from fedmrg_core.paths import ROOT


@pytest.fixture(scope="module", name="found")
def _found() -> dict[str, Entry]:
    return {entry.name: entry for entry in entries("tiny")}


def test_every_config_is_an_entry_with_a_text(found: dict[str, Entry]) -> None:
    assert sorted(found) == settings.algorithm_names()
    assert [entry.name for entry in found.values() if len(entry.text) < 20] == []


def test_what_travels_and_what_stays_comes_from_the_algorithm(found: dict[str, Entry]) -> None:
    fedavg, lite = found["fedavg"], found["fedmrg-lite"]
    assert (fedavg.sent, fedavg.kept, fedavg.weighting) == ("encoder, connector, language model", "", "size")
    assert fedavg.up == fedavg.down > found["fedlora"].up
    assert lite.kept == "LoRA (specialised), `own_share`, the codec's residue"
    assert lite.sent.endswith("LoRA (generic), `prototype`")
    assert 0.1 < lite.up / found["fedmrg"].up < 0.2, "int4 sends an eighth and some scales"
    assert found["constant"].up == 0
    assert found["fedavg-dx"].sent == "encoder, connector, diagnosis head, prompts, language model"
    assert (found["local-only"].sent, found["local-only"].up) == ("", 0)
    assert found["fedbn"].kept == "part of the encoder, part of the language model"


def test_the_page_is_renewed_between_its_marks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "docs" / "algorithms.md"
    page.parent.mkdir()
    shutil.copy(ROOT / "docs" / "algorithms.md", page)
    whole = page.read_text()
    page.write_text(whole.replace("| `fedavg` |", "| `fedavg2` |"))
    arguments = ["algorithms", "--root", str(tmp_path)]
    assert main([*arguments, "--check"]) == 1
    assert "out of date: docs/algorithms.md (fedmrg algorithms --write)" in capsys.readouterr().out
    assert main([*arguments, "--write"]) == 0
    assert page.read_text() == whole
    page.write_text("no marks")
    assert main([*arguments, "--write"]) == 2
    assert "has no marks" in capsys.readouterr().err


def test_a_preset_without_a_base_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module, name in (("fedmrg_core.engine.base_cache", "SHIPPED"), ("benchmark.run.algorithm_list", "CACHE")):
        monkeypatch.setattr(f"{module}.{name}", tmp_path)
    assert main(["algorithms"]) == 2
