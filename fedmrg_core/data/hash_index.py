"""SHA-256 of films between runs, so that a changed film is noticed without reading all others again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from fedmrg_core.data.images import safe_path
from fedmrg_core.errors import DataError
from fedmrg_core.files import write_atomic
from fedmrg_core.hashes import file_sha256

log = logging.getLogger(__name__)

Entry = tuple[tuple[int, ...], str]
"""(size, time of the last write and of the last change of any kind in ns, inode) and SHA-256 of a file; of a film of a
release the hash of what was first decoded and, if it differs now, that of today: "first latest"."""
Film = TypeVar("Film")


class HashIndex:
    """SHA-256 of files below a root, stored between runs: files that did not change are not read again.

    Changed is what differs in size, times or inode; the time of the last change cannot be set by a user."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, Entry] = {}
        self._file: Path | None = None

    def use_cache(self, cache: Path, release: str = "") -> None:
        """Store the hashes in a file below `cache`; a damaged file is replaced.

        release: name of a published data set. All copies of it share one file, as they share decoded films.
        """
        name = release or hashlib.sha256(os.fsencode(os.path.realpath(self.root))).hexdigest()[:24]
        self._file = cache / "hashes" / f"{name}.json"
        try:
            stored = json.loads(self._file.read_text())
            self._known = {path: (tuple(map(int, state)), str(digest)) for path, (state, digest) in stored.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            self._known = {}

    def key(self, relative: str) -> str:
        """The file's hash. Raises DataError where the path is refused or the file cannot be read."""
        try:
            path = safe_path(self.root, relative)
            before, digest = self._known.get(relative, ((), ""))
            now = _state(path)
            if before != now:
                digest = file_sha256(path)
                self._known[relative] = (now, digest)
            return digest
        except OSError as error:
            raise DataError(f"image '{relative}' cannot be read ({error.strerror})") from None

    def release_key(self, relative: str) -> str:
        """Name and size of a film of a release; with its hash if its content is no longer what was first decoded.

        A film that was never decoded here is taken for the release's own. Raises OSError if it cannot be read.
        """
        path = self.root / relative
        before, digests = self._known.get(relative, ((), ""))
        now = _state(path)
        if digests and before != now:
            digests = f"{digests.split()[0]} {file_sha256(path)}"
            self._known[relative] = (now, digests)
        first, _, latest = digests.partition(" ")
        key = f"{relative}:{now[0]}"
        return key if latest in ("", first) else f"{key}:{latest}"

    def remember(self, relative: str, decode: Callable[[Path], Film]) -> Film:
        """Decode a film of a release, and remember the hash of what was decoded, also if it is no image."""
        path = safe_path(self.root, relative)
        before = _state(path) if path.exists() else ()
        try:
            return decode(path)  # says why an absent file cannot be read
        finally:
            if relative not in self._known:
                with suppress(OSError):
                    self._learn(relative, path, before)

    def _learn(self, relative: str, path: Path, before: tuple[int, ...]) -> None:
        digest = file_sha256(path)
        if _state(path) == before:
            self._known[relative] = (before, digest)

    def is_known(self, relative: str) -> bool:
        """Whether the hash of what was decoded is remembered."""
        return relative in self._known

    def save(self) -> None:
        """Write the file, if there is a cache."""
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self._file, json.dumps(self._known).encode())
        except OSError as error:
            log.warning("hashes of films are not stored (%s); the next run reads all films again", error.strerror)


def _state(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
