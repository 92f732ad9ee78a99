"""Films in files below a data root, and the base of every reader of files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.images import read_film, safe_path
from fedmrg_core.data.labels import label_reports
from fedmrg_core.data.source import fingerprint_studies
from fedmrg_core.errors import DataError
from fedmrg_core.files import write_atomic
from fedmrg_core.hashes import file_sha256
from fedmrg_core.types import Study

log = logging.getLogger(__name__)

Entry = tuple[tuple[int, ...], str]
"""(size, time of the last write and of the last change of any kind in ns, inode) and SHA-256 of a file."""


class HashIndex:
    """SHA-256 of files below a root, stored between runs: files that did not change are not read again.

    Changed is what differs in size, times or inode; the time of the last change cannot be set by a user."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, Entry] = {}
        self._file: Path | None = None

    def use_cache(self, cache: Path) -> None:
        """Store the hashes in a file below `cache`; a damaged file is replaced."""
        name = hashlib.sha256(os.fsencode(os.path.realpath(self.root))).hexdigest()[:24]
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
            stat = path.stat()
            before, digest = self._known.get(relative, ((), ""))
            now = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
            if before != now:
                digest = file_sha256(path)
                self._known[relative] = (now, digest)
            return digest
        except OSError as error:
            raise DataError(f"image '{relative}' cannot be read ({error.strerror})") from None

    def save(self) -> None:
        """Write the file, if there is a cache."""
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self._file, json.dumps(self._known).encode())
        except OSError as error:
            log.warning("hashes of films are not stored (%s); the next run reads all films again", error.strerror)


class FileSource:
    """A `Source` over files: a subclass gives `_read`, and puts into `locations` the file and row of each study, which
    errors then name. `published`: the films are files of a release, which do not change: name and size are used instead
    of their hash, which would take hours."""

    name = ""
    version = "1"
    credentialed = False
    partial = generated = False
    published = False

    def __init__(self, root: Path, data: DataConfig) -> None:
        self.root, self.data = root, data
        self.credentialed = self.credentialed or data.private
        self.left_out: dict[str, int] = {}
        self.locations: dict[str, tuple[str, int | None]] = {}
        self._hashes = HashIndex(root)
        self._studies: list[Study] | None = None

    @classmethod
    def open(cls, data: DataConfig, seed: int) -> Self:
        """The reader of the data root; `seed` is for generated data sets."""
        return cls(Path(data.path), data)

    def _read(self) -> list[Study]:
        raise NotImplementedError

    def studies(self) -> list[Study]:
        """Every usable study, sorted by id. Raises DataError with file and row."""
        if self._studies is None:
            self._studies = sorted(self._read(), key=lambda study: study.study_id)
            log.info("%s: %d studies; left out or mended: %s", self.name, len(self._studies), self.left_out or "none")
            if not self._studies:
                raise DataError(f"no usable study in '{self.root}'; left out: {self.left_out or 'none'}")
        return self._studies

    def image(self, study: Study, size: int) -> NDArray[np.uint8]:
        """The film, uint8 grey [size, size]. Raises DataError with file and row."""
        try:
            return read_film(safe_path(self.root, study.image), size)
        except DataError as error:
            raise DataError(str(error), *self.locations[study.study_id]) from None

    def image_key(self, study: Study) -> str:
        """SHA-256 of the film's bytes (of published films: name and size); a constant where it cannot be read, as
        decoding then says why."""
        try:
            if self.published:
                return f"{study.image}:{(self.root / study.image).stat().st_size}"
            return self._hashes.key(study.image)
        except (DataError, OSError, ValueError):  # ValueError: a NUL in the name
            return f"absent:{study.image}"

    def has_films(self) -> bool:
        """Whether any study's film exists: a data root may hold the texts alone."""
        return any(self._exists(study) for study in self.studies())

    def _exists(self, study: Study) -> bool:
        try:
            return safe_path(self.root, study.image).is_file()
        except DataError:
            return False

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        studies = self.studies()
        with ThreadPoolExecutor(4) as pool:
            keys = list(pool.map(self.image_key, studies))
        self._hashes.save()
        return fingerprint_studies(studies, keys)

    def use_cache(self, cache: Path) -> None:
        """Store the films' hashes below `cache`, so that the next run reads only files that changed."""
        self._hashes.use_cache(cache)

    def _labelled(self, studies: list[Study]) -> list[Study]:
        """The studies, those without labels with the rule labeler's."""
        bare = [study.report for study in studies if not study.labels]
        by_rules = iter(label_reports(bare))
        if bare:
            self.left_out["labels_by_rules"] = len(bare)
        return [study if study.labels else replace(study, labels=next(by_rules)) for study in studies]

    def count(self, reason: str, when: bool = True, number: int = 1) -> None:
        """Count studies that are left out or mended for a reason."""
        if when:
            self.left_out[reason] = self.left_out.get(reason, 0) + number
