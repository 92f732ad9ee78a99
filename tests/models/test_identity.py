"""A checkpoint is known by its content: in the settings' hash, in the base's key, in the result."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from benchmark.run.score_table import models_line
from fedmrg_core.engine.base_key import base_key
from fedmrg_core.models import identity
from fedmrg_core.models.identity import describe_model
from fedmrg_core.models.packaged import ENVIRONMENT
from tests.models.families import LANGUAGE_MODELS, save
from tests.toy import toy_config


def keys(path: Path) -> tuple[str, str]:
    config = toy_config("fedavg", f"lm={path}")
    return config.hash(), base_key(config.model, "corpus", 0)


def test_the_folder_does_not_matter_and_the_weights_do(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    save(LANGUAGE_MODELS[0], first)
    shutil.copytree(first, second)
    assert keys(first) == keys(second)
    state = load_file(second / "model.safetensors")
    name = min(state)
    save_file({**state, name: state[name] + 1}, second / "model.safetensors", {"format": "pt"})
    assert all(a != b for a, b in zip(keys(first), keys(second), strict=True))


def test_a_result_names_the_models(tmp_path: Path) -> None:
    path = save(LANGUAGE_MODELS[0], tmp_path / "llama")
    facts = {"encoder": describe_model("encoder", "conv"), "lm": describe_model("lm", str(path))}
    assert facts["encoder"] == {"name": "conv"}
    assert facts["lm"]["name"] == "llama"
    assert models_line({"provenance": {"models": facts}}) == f"models: llama (sha256 {facts['lm']['sha256'][:12]})"
    assert models_line({"provenance": {}}) == ""
    assert describe_model("lm", "owner/never-loaded") == {"name": "owner/never-loaded"}


def test_digests_of_large_files_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "models"))
    (tmp_path / "model.safetensors").write_bytes(bytes(2**24))
    whole = identity.digest(tmp_path)
    monkeypatch.setattr(identity, "file_sha256", lambda file: "read again")
    assert identity.digest(tmp_path) == whole
    (tmp_path / "model.safetensors").write_bytes(bytes(2**24 + 1))
    assert identity.digest(tmp_path) != whole


def test_the_names_of_the_tiny_models_are_their_identity() -> None:
    model = toy_config("fedavg").model
    assert identity.by_content(model.recipe()) == model.recipe()
    assert base_key(model, "corpus", 0) != base_key(replace(model, vocab_size=500), "corpus", 0)
