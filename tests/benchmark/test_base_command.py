"""`fedmrg base`: bases are built, listed and verified, and what differs is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from benchmark.cli import main
from benchmark.commands import base as command
from fedmrg_core.data.phantom import PhantomConfig, PublicCorpus
from fedmrg_core.engine import base_cache
from fedmrg_core.engine.base_key import base_key
from fedmrg_core.paths import ROOT
from tests.toy import toy_config

CONFIG = toy_config("fedavg").model


@pytest.fixture(scope="module", name="corpus")
def _corpus() -> PublicCorpus:
    return PublicCorpus(PhantomConfig.load(), CONFIG.warmup_studies, 0)


@pytest.fixture(scope="module", name="built")
def _built(corpus: PublicCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = base_key(CONFIG, corpus.fingerprint(), 0)
    base_cache.build(folder := tmp_path_factory.mktemp("built") / key, CONFIG, corpus, 0, progress=False)
    return folder


@pytest.fixture(name="shipped")
def _shipped(built: Path, corpus: PublicCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the base in a `bases/` of its own, for the toy settings."""
    monkeypatch.setattr(base_cache, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(command, "_wanted", lambda args: (CONFIG, corpus, args.draw or 0, built.name))
    return Path(shutil.copytree(built, tmp_path / "shipped" / built.name))


def test_every_base_of_the_repository_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = [path.name for path in (ROOT / "bases").iterdir() if path.is_dir()]
    assert main(["base", "verify", "--files"]) == 0
    assert f"{len(shipped)} shipped bases, 0 damaged" in capsys.readouterr().out


def test_a_damaged_file_is_named(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shipped / "tokenizer.json").write_text("{}")
    assert main(["base", "verify", "--files"]) == 1
    assert "tokenizer.json: missing or damaged" in capsys.readouterr().out
    assert main(["base", "list"]) == 0
    assert "tokenizer.json: missing or damaged" in capsys.readouterr().out


def test_a_base_that_is_built_again_has_the_same_bits(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["base", "verify"]) == 0
    assert capsys.readouterr().out == f"{shipped.name}: the same bits\n"


def test_where_weights_differ_the_largest_difference_of_each_part_is_said(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = load_file(shipped / "base.safetensors")
    weights["dx_head.bias"][0] += 0.25
    save_file(weights, shipped / "base.safetensors")
    base_cache.write_facts(shipped, base_cache.base_facts(CONFIG, "corpus", 0, "0" * 64, {"machine": "a processor"}))
    assert main(["base", "verify", "--draw", "0"]) == 1
    said = capsys.readouterr().out
    assert "other bits than the shipped weights" in said
    assert "built on: a processor" in said
    changed = [line.split() for line in said.splitlines() if line.startswith("  ")]
    assert {words[0] for words in changed if words[1] != "0"} == {"dx_head"}
    assert next(words[1] for words in changed if words[0] == "dx_head") == "0.25"


def test_build_writes_a_new_folder_or_the_cache(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["base", "build", "--to", str(tmp_path / "mine")]) == 0
    facts = base_cache.check_base(tmp_path / "mine")
    assert facts["sha256"] == base_cache.check_base(shipped)["sha256"]
    assert facts["recipe"]["key"] == shipped.name
    assert {"git_sha", "machine", "versions", "cpu_seconds", "code"} <= facts["recipe"].keys()
    assert main(["base", "build", "--to", str(tmp_path / "mine")]) == 2
    assert main(["base", "build", "--cache", str(tmp_path / "cache")]) == 0
    capsys.readouterr()
    assert main(["base", "list", "--cache", str(tmp_path / "cache")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(row[0], row[2], row[-1]) for row in rows] == [(shipped.name, at, "ok") for at in ("shipped", "cache")]


def test_a_draw_without_a_shipped_base_is_one_line(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(shipped)
    assert main(["base", "verify", "--draw", "7"]) == 2
    assert "is shipped for draw 7 of preset tiny" in capsys.readouterr().err
