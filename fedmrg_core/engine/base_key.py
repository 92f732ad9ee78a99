"""The key of a base: a hash of everything that decides its recipe, the code of the warm-up included."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fedmrg_core.engine import warmup
from fedmrg_core.hashes import code_sha256, json_sha256
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.identity import by_content


def base_key(config: ModelConfig, corpus_fingerprint: str, seed: int) -> str:
    """The first 20 hex digits of the hash over format, code of the warm-up, [model] settings (checkpoints by
    their content), corpus and seed."""
    facts = {"format": warmup.FORMAT, "code": warmup_code(), "model": by_content(config.recipe())}
    return json_sha256({**facts, "corpus": corpus_fingerprint, "seed": seed})[:20]


@cache
def warmup_code() -> str:
    """Hash of `warmup.py`; see `code_sha256`."""
    return code_sha256(Path(warmup.__file__).read_text(encoding="utf-8"))
