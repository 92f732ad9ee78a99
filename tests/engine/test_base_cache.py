"""A cached base is verified when it is opened: what a result names is the hash of what was read."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fedmrg_core.data.phantom import PhantomConfig, PublicCorpus
from fedmrg_core.engine.base_cache import FACTS, check_base, ensure_base
from fedmrg_core.engine.warmup import model_sha256
from fedmrg_core.errors import DataError
from fedmrg_core.models.report_model import build_model
from tests.toy import toy_config

CONFIG = toy_config("fedavg").model


def corpus() -> PublicCorpus:
    return PublicCorpus(PhantomConfig.load(), CONFIG.warmup_studies, 0)


@pytest.fixture(scope="module", name="built")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_base(CONFIG, corpus(), 0, tmp_path_factory.mktemp("bases"), progress=False)


@pytest.fixture(name="base")
def _base(built: Path, tmp_path: Path) -> Path:
    """A copy to damage, in a cache of its own."""
    return Path(shutil.copytree(built, tmp_path / "bases" / built.name))


def opened(base: Path) -> Path:
    return ensure_base(CONFIG, corpus(), 0, base.parents[1], progress=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_hash_in_a_result_is_that_of_the_weights(built: Path) -> None:
    assert check_base(built)["sha256"] == model_sha256(build_model(CONFIG, built, 0))


@pytest.mark.parametrize("name", ["base.safetensors", "tokenizer.json", FACTS])
def test_one_flipped_bit_is_noticed_and_the_same_base_is_built_again(
    built: Path, base: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray((base / name).read_bytes())
    data[len(data) // 2] ^= 1
    (base / name).write_bytes(bytes(data))
    with pytest.raises(DataError, match=rf"{name}: .*(damaged|cannot be read)") as caught:
        check_base(base)
    assert "\n" not in str(caught.value)
    with caplog.at_level(logging.WARNING):
        assert opened(base) == base
    assert "damaged and is built again" in caplog.text
    assert contents(base) == contents(built)


def test_a_missing_file_is_noticed(built: Path, base: Path) -> None:
    (base / "base.safetensors").unlink()
    assert contents(opened(base)) == contents(built)


def test_a_base_without_hashes_is_adopted_if_its_weights_are_those_that_it_names(built: Path, base: Path) -> None:
    facts = json.loads((base / FACTS).read_text())
    old = {name: value for name, value in facts.items() if name not in ("self", "files")}
    (base / FACTS).write_text(json.dumps(old, indent=1))
    inode = (base / "base.safetensors").stat().st_ino
    assert contents(opened(base)) == contents(built)
    assert (base / "base.safetensors").stat().st_ino == inode, "it is not built again"
    (base / FACTS).write_text(json.dumps({**old, "sha256": "0" * 64}))
    assert contents(opened(base)) == contents(built)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bases").write_text("a file in the way")
    with pytest.raises(DataError, match=r"the base cannot be cached .*another cache folder") as caught:
        ensure_base(replace(CONFIG), corpus(), 0, tmp_path, progress=False)
    assert "\n" not in str(caught.value)
