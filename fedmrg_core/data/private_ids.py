"""Codes instead of the ids of patients and studies, for credentialed and private sources.

A code is a keyed hash of the id. The key is random, is stored in the cache folder with mode 0600 and goes nowhere
else: with one cache a study has the same code in every run, so that runs can be compared; without the key nobody can
tell whose code it is. Deleting the cache, or the key, makes later codes differ.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from fedmrg_core.errors import DataError

KEY_FILE = "private_ids.key"
KEY_BYTES = 32


def private_ids(ids: Iterable[str], kind: str, key: bytes) -> list[str]:
    """Codes of ids, in order, such as "patient-5d41402abc4b2a76b971". `kind`: "study" or "patient"."""
    return [f"{kind}-{hmac.digest(key, f'{kind}:{one}'.encode(), hashlib.sha256).hex()[:20]}" for one in ids]


def private_key(cache: Path) -> bytes:
    """The key of a cache folder, made when it is first needed. Raises DataError where it is damaged."""
    path = cache / KEY_FILE
    if not path.exists():
        _make(path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise DataError(f"holds {len(key)} bytes, not {KEY_BYTES}; delete it, and codes of ids will differ", str(path))
    return key


def _make(path: Path) -> None:
    """Write a new key; of two processes that do so at once, the first one's is used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
