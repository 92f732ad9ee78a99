"""Bases: shipped in `bases/`, or built once for each model, corpus and seed (`warmup.py`) and cached.

`base.json` has the hash of the weights, of each file, and of itself. A base is verified whenever it is opened; one that
does not agree is built again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from fedmrg_core.data.source import HasRecipe, Source
from fedmrg_core.engine.base_key import base_key, warmup_code
from fedmrg_core.engine.warmup import FORMAT, build_base
from fedmrg_core.errors import DataError, first_line
from fedmrg_core.files import sync, write_atomic
from fedmrg_core.hashes import file_sha256, sealed, unsealed
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.paths import ROOT

FACTS = "base.json"
SHIPPED = ROOT / "bases"
"""The bases that come with the repository."""

_log = logging.getLogger(__name__)


def ensure_base(
    config: ModelConfig,
    corpus: Source,
    seed: int,
    cache: Path,
    progress: bool,
    made_by: Mapping[str, Any] | None = None,
    on_build: Callable[[], None] = lambda: None,
    shipped: Path | None = None,
) -> Path:
    """The folder of the base for these settings: a shipped one, or a cached one. It is built if it is not cached, or
    damaged.

    It appears whole or not at all; a second process that needs the same base waits for the first. An interrupted
    warm-up goes on after its last phase. made_by: commit, versions and machine, for `base.json`. on_build: called
    before a base is built. Raises DataError if the cache cannot be read or written.
    """
    key = find_key(config, corpus, seed, cache, shipped)
    if folder := find_shipped(key, shipped):
        return folder
    target = cache / "bases" / key
    try:
        if not _intact(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_name(f".{target.name}.lock")):
                if not _intact(target):
                    on_build()
                    build(target, config, corpus, seed, progress, made_by)
    except OSError as error:
        why = f"the base cannot be cached ({error.strerror}): free space there, or choose another cache folder"
        raise DataError(why, str(target)) from error
    return target


def find_key(config: ModelConfig, corpus: Source, seed: int, cache: Path, shipped: Path | None = None) -> str:
    """The key of the base for these settings, without drawing a corpus that a shipped or cached base was made of."""
    return base_key(config, corpus_fingerprint(corpus, (shipped or SHIPPED, cache / "bases")), seed)


def corpus_fingerprint(corpus: Source, bases: Iterable[Path]) -> str:
    """The corpus's fingerprint. It takes seconds, so it is read from a base that was made of this corpus, if there is
    one in the folders."""
    recipe = corpus.recipe() if isinstance(corpus, HasRecipe) else None
    for file in (path for folder in bases for path in sorted(folder.glob(f"[!.]*/{FACTS}")) if recipe):
        with suppress(DataError):
            facts = unsealed(_facts(file.parent))
            if facts and facts.get("corpus_recipe") == recipe:
                return str(facts["corpus"])
    return corpus.fingerprint()


def find_shipped(key: str, shipped: Path | None = None) -> Path | None:
    """The folder of a shipped base, after its files were verified; None if there is none, or it is damaged. shipped:
    where to look instead of `bases/`."""
    folder = (shipped or SHIPPED) / key
    if not folder.is_dir():
        return None
    try:
        check_base(folder)
    except DataError as error:
        _log.warning("the shipped base is damaged and another is built: %s", error)
        return None
    _log.info("the base is the shipped one: %s", folder)
    return folder


def check_base(folder: Path) -> dict[str, Any]:
    """The facts in `base.json`, after its own hash and that of every file were compared.

    Raises DataError that names the file that is missing or damaged.
    """
    facts = unsealed(_facts(folder))
    if facts is None:
        raise DataError("damaged: it is not the file that was written", str(folder / FACTS))
    for name, digest in facts["files"].items():
        file = folder / name
        if not file.is_file() or file_sha256(file) != digest:
            raise DataError("missing or damaged: it is not the file that was written", str(file))
    return facts


def _facts(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / FACTS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"cannot be read ({first_line(error)})", str(folder / FACTS)) from None


def _intact(folder: Path) -> bool:
    if not folder.exists():
        return False
    try:
        check_base(folder)
    except DataError as error:
        _log.warning("the cached base is damaged and is built again: %s", error)
        return False
    return True


def build(
    target: Path,
    config: ModelConfig,
    corpus: Source,
    seed: int,
    progress: bool,
    made_by: Mapping[str, Any] | None = None,
) -> None:
    """Build a base in `.NAME` beside `target`, which it then replaces. What an interrupted call left there is used."""
    temporary = target.with_name(f".{target.name}")
    temporary.mkdir(parents=True, exist_ok=True)
    start = time.process_time()
    sha256 = build_base(temporary, replace(config, views=1), corpus, seed, progress)
    recipe = {**(made_by or {}), "cpu_seconds": round(time.process_time() - start, 1)}
    facts = base_facts(config, corpus.fingerprint(), seed, sha256, recipe)
    if isinstance(corpus, HasRecipe):
        facts["corpus_recipe"] = corpus.recipe()
    write_facts(temporary, facts)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
    sync(target.parent)


def base_facts(
    config: ModelConfig, corpus: str, seed: int, sha256: str, recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of `base.json` without the hashes of files. sha256: of all weights."""
    key = {"key": base_key(config, corpus, seed), "format": FORMAT, "code": warmup_code()}
    facts = {"seed": seed, "model": config.recipe(), "sha256": sha256, "corpus": corpus}
    return {**facts, "recipe": {**key, **recipe}}


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write `base.json` with the hashes of all files of the base, all of them forced to the disk."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors") and path.name != FACTS)
    for file in files:
        sync(file)
    facts = {**facts, "files": {file.name: file_sha256(file) for file in files}}
    write_atomic(folder / FACTS, json.dumps(sealed(facts), indent=1).encode())
