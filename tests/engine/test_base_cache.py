"""A cached base is verified when it is opened: what a result names is the hash of what was read."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from fedmrg_core.data.phantom import PhantomConfig, PublicCorpus
from fedmrg_core.engine import warmup
from fedmrg_core.engine.base_cache import FACTS, SHIPPED, check_base, ensure_base
from fedmrg_core.engine.base_key import warmup_code
from fedmrg_core.engine.warmup import model_sha256
from fedmrg_core.errors import DataError
from fedmrg_core.hashes import code_sha256
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


def contents(folder: Path) -> dict[str, Any]:
    """Files and their bytes; of base.json the facts, without the seconds that it took."""
    facts = check_base(folder)
    facts["recipe"].pop("cpu_seconds")
    return {FACTS: facts, **{p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != FACTS}}


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


def test_a_shipped_base_is_used_if_it_is_whole(
    built: Path, base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def opened_beside() -> Path:
        return ensure_base(CONFIG, corpus(), 0, tmp_path / "cache", progress=False, shipped=base.parent)

    with caplog.at_level(logging.INFO), pytest.MonkeyPatch.context() as patch:
        patch.setattr(PublicCorpus, "fingerprint", lambda self: pytest.fail("the corpus is drawn, which takes seconds"))
        assert opened_beside() == base
    assert f"the base is the shipped one: {base}" in caplog.text
    assert not (tmp_path / "cache").exists(), "nothing is copied"
    (base / "base.safetensors").write_bytes(b"")
    assert contents(opened_beside()) == contents(built)
    assert "the shipped base is damaged" in caplog.text


def test_shipped_bases_know_their_corpus_by_its_recipe() -> None:
    """If this fails, a file of the phantom changed: store the new recipe, or build the bases again if films or reports
    changed too."""
    for folder in sorted(path.parent for path in SHIPPED.glob(f"*/{FACTS}")):
        facts = check_base(folder)
        public = PublicCorpus(PhantomConfig.load(), facts["model"]["warmup_studies"], facts["seed"])
        assert facts["corpus_recipe"] == public.recipe(), folder


def test_a_recipe_is_of_settings_size_and_draw() -> None:
    other = PhantomConfig.load(overrides={"shift": {"image": 0.5}})
    made = [PublicCorpus(*given) for given in ((PhantomConfig.load(), 9, 0), (other, 9, 0))]
    made += [PublicCorpus(PhantomConfig.load(), *given) for given in ((8, 0), (9, 1))]
    assert len({source.recipe() for source in made}) == 4


@pytest.mark.parametrize("killed_in", ["seeing", "reading", "reporting"])
def test_a_killed_warmup_goes_on_after_its_last_phase_with_the_same_bits(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    real, begun = warmup._phase, []

    def phase(model: Any, corpus: Any, seed: int, name: str, *rest: Any) -> None:
        begun.append(name)
        if begun.count(killed_in) == 1 and name == killed_in:
            raise KeyboardInterrupt
        real(model, corpus, seed, name, *rest)

    monkeypatch.setattr(warmup, "_phase", phase)
    with pytest.raises(KeyboardInterrupt):
        ensure_base(CONFIG, corpus(), 0, tmp_path, progress=False)
    assert contents(ensure_base(CONFIG, corpus(), 0, tmp_path, progress=False)) == contents(built)
    names = ["seeing", "reading", "reporting"]
    at = names.index(killed_in)
    assert begun == names[: at + 1] + names[at:], "completed phases are not trained again"


@pytest.mark.parametrize("change", ["damaged", "another machine"])
def test_phases_that_cannot_be_trusted_are_trained_again(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    real = warmup._phase

    def phase(model: Any, corpus: Any, seed: int, name: str, *rest: Any) -> None:
        if name == "reading":
            raise KeyboardInterrupt
        real(model, corpus, seed, name, *rest)

    with monkeypatch.context() as killing:
        killing.setattr(warmup, "_phase", phase)
        with pytest.raises(KeyboardInterrupt):
            ensure_base(CONFIG, corpus(), 0, tmp_path, progress=False)
    (stored,) = (tmp_path / "bases").glob(".*/phase-1.safetensors")
    if change == "damaged":
        stored.write_bytes(stored.read_bytes()[:-100])
    else:
        save_file({name: tensor * 0 for name, tensor in load_file(stored).items()}, stored, {"host": "another"})
    assert contents(ensure_base(CONFIG, corpus(), 0, tmp_path, progress=False)) == contents(built)


def test_the_key_follows_the_code_of_the_warmup_but_not_its_english() -> None:
    source = Path(warmup.__file__).read_text()
    english = source.replace('"""Weight of the diagnosis loss', '"""A better word for it') + "\n# a comment\n"
    assert code_sha256(english) == code_sha256(source) == warmup_code()
    assert code_sha256(source.replace("DX_WEIGHT = 4.0", "DX_WEIGHT = 40.0")) != code_sha256(source)
    assert code_sha256(source.replace("steps // 10", "steps // 9")) != code_sha256(source)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bases").write_text("a file in the way")
    with pytest.raises(DataError, match=r"the base cannot be cached .*another cache folder") as caught:
        ensure_base(replace(CONFIG), corpus(), 0, tmp_path, progress=False)
    assert "\n" not in str(caught.value)
