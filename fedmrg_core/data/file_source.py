"""Films in files below a data root, and the base of every reader of files."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.hash_index import HashIndex
from fedmrg_core.data.images import read_film, safe_path
from fedmrg_core.data.labels import label_reports
from fedmrg_core.data.source import fingerprint_studies
from fedmrg_core.errors import DataError
from fedmrg_core.types import Study

log = logging.getLogger(__name__)


class FileSource:
    """A `Source` over files: a subclass gives `_read`, and puts into `locations` the file and row of each study, which
    errors then name, and into `lateral` the path of its lateral film, if it has one. `published`: the films are files
    of a release: name and size identify them, because hashing all of them would take hours. A film that changes after
    it was decoded is noticed."""

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
        self.lateral: dict[str, str] = {}
        self._both = False
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

    def use_lateral(self) -> None:
        """See `HasLateral`."""
        self._both = True
        without = sum(study.study_id not in self.lateral for study in self.studies())
        if without == len(self.studies()):
            raise DataError(f"model.views = 2, and no study in '{self.root}' has a film that is known to be lateral")
        self.count("frontal_twice", without > 0, without)

    def image(self, study: Study, size: int) -> NDArray[np.uint8]:
        """The film, uint8 grey [size, size], or both views (`use_lateral`). Raises DataError with file and row."""
        try:
            films = [self._decoded(path, size) for path in self._paths(study)]
        except DataError as error:
            raise DataError(str(error), *self.locations[study.study_id]) from None
        return np.stack([films[0], films[-1]]) if self._both else films[0]

    def _decoded(self, path: str, size: int) -> NDArray[np.uint8]:
        if self.published:
            return self._hashes.remember(path, lambda file: read_film(file, size))
        return read_film(safe_path(self.root, path), size)

    def _paths(self, study: Study) -> list[str]:
        """The films that are read of a study, the frontal one first."""
        second = self.lateral.get(study.study_id) if self._both else None
        return [study.image, second] if second else [study.image]

    def image_key(self, study: Study) -> str:
        """SHA-256 of the film's bytes (of published films: see `HashIndex.release_key`); a constant where it cannot be
        read, as decoding then says why. Of two views both, one after the other."""
        keys = [self._key(path) for path in self._paths(study)]
        return f"{keys[0]}+{keys[-1]}" if self._both else keys[0]

    def _key(self, path: str) -> str:
        try:
            return self._hashes.release_key(path) if self.published else self._hashes.key(path)
        except (DataError, OSError, ValueError):  # ValueError: a NUL in the name
            return f"absent:{path}"

    def has_films(self) -> bool:
        """Whether any study's film exists: a data root may hold the texts alone."""
        return any(self._exists(study.image) for study in self.studies())

    def _exists(self, path: str) -> bool:
        try:
            return safe_path(self.root, path).is_file()
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
        self._hashes.use_cache(cache, self.name if self.published else "")

    def save_hashes(self) -> None:
        """Write the hashes that are known by now."""
        self._hashes.save()

    def is_verified(self, study: Study) -> bool:
        """See `CachesHashes.is_verified`."""
        return not self.published or all(
            self._hashes.is_known(path) or not self._exists(path) for path in self._paths(study)
        )

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
