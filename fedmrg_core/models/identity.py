"""Models by what they are, not where: the same files in another folder are the same model, and other weights in the
same folder are another.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedmrg_core.files import write_atomic
from fedmrg_core.hashes import file_sha256, json_sha256
from fedmrg_core.models.packaged import MODELS, checkpoint_path, is_packaged, models_folder
from fedmrg_core.models.registry import encoder_names, language_model_names

FILES = ("*.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")
"""What decides what a checkpoint computes."""
KNOWN = "hashes.json"
"""Digests of large files, by path, size and time: in the folder of fetched models."""
SETTINGS = ("encoder", "lm")


def by_content(model: dict[str, Any]) -> dict[str, Any]:
    """[model] settings with the digest of a checkpoint's files in place of its folder. Registered, fetched and hub
    models keep their names: those of the first two are what they are, and a hub's files may not be here yet."""
    return {key: _content(str(value)) if key in SETTINGS else value for key, value in model.items()}


def describe_model(setting: str, name: str) -> dict[str, str]:
    """What a result says of a model: its name; of a checkpoint, the digest of its files; of a hub's, its revision; of a
    fetched one, what must be said of it."""
    known = encoder_names() if setting == "encoder" else language_model_names()
    if name in known:
        return {"name": name}
    folder = _folder(name)
    facts = {"name": folder.name if Path(name).is_dir() else name}
    if folder.is_dir():
        facts["sha256"] = digest(folder)
    if folder.parent.name == "snapshots":  # the hub's cache
        facts["revision"] = folder.name
    return {**facts, "note": MODELS[name].note} if is_packaged(name) else facts


def digest(folder: Path) -> str:
    """SHA-256 over the names and contents of the files that decide what a checkpoint computes."""
    files = sorted({file for pattern in FILES for file in folder.glob(pattern)})
    return json_sha256({file.name: _sha256(file) for file in files})


def _content(name: str) -> str:
    known = name in encoder_names() or name in language_model_names() or is_packaged(name)
    return name if known or not Path(name).is_dir() else f"sha256:{digest(Path(name))}"


def _folder(name: str) -> Path:
    """Where a checkpoint's files are; a path that does not exist for a hub's that was not loaded yet."""
    if is_packaged(name) or Path(name).is_dir():
        return Path(checkpoint_path(name)).resolve()
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return Path(found).parent if isinstance(found, str) else Path(name)


def _sha256(file: Path) -> str:
    """SHA-256 of a file; remembered while its size and time stay, if it takes long."""
    facts = file.resolve().stat()
    if facts.st_size < 2**24:
        return file_sha256(file)
    store = models_folder() / KNOWN
    key = f"{file.resolve()} {facts.st_size} {facts.st_mtime_ns}"
    try:
        known = json.loads(store.read_text())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        known[key] = file_sha256(file)
        store.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(store, json.dumps(known, indent=1).encode())
    return str(known[key])
