"""Several data sets as one federation, each a hospital: the data root holds a folder for each, named as it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.file_source import FileSource
from fedmrg_core.types import Study


class CompositeSource:
    """Studies of every source, ids and patients as `<source>:<id>`, hospital = the source's name. Credentialed where
    one of them is."""

    version = "1"

    def __init__(self, name: str, sources: Mapping[str, FileSource]) -> None:
        self.name, self._sources = name, dict(sorted(sources.items()))
        self.credentialed = any(source.credentialed for source in self._sources.values())
        self.notes: dict[str, int] = {}

    def studies(self) -> list[Study]:
        """See `Source.studies`."""
        found: list[Study] = []
        for name, source in self._sources.items():
            for study in source.studies():
                one, who = f"{name}:{study.study_id}", f"{name}:{study.patient_id}"
                found.append(replace(study, study_id=one, patient_id=who, hospital=name))
            self.notes |= {f"{name}_{key}": count for key, count in source.notes.items()}
        return sorted(found, key=lambda study: study.study_id)

    def image(self, study: Study, size: int) -> NDArray[np.uint8]:
        """See `Source.image`."""
        source, own = self._own(study)
        return source.image(own, size)

    def image_key(self, study: Study) -> str:
        """The source's own key."""
        source, own = self._own(study)
        return f"{study.hospital}:{source.image_key(own)}"

    def has_films(self) -> bool:
        """Whether every source has films."""
        return all(source.has_films() for source in self._sources.values())

    def fingerprint(self) -> str:
        """SHA-256 over the sources' own fingerprints."""
        lines = [f"{name}:{source.fingerprint()}" for name, source in self._sources.items()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def remember(self, cache: Path) -> None:
        """See `FileSource.remember`."""
        for source in self._sources.values():
            source.remember(cache)

    def _own(self, study: Study) -> tuple[FileSource, Study]:
        source = self._sources[study.hospital]
        return source, replace(study, study_id=study.study_id.removeprefix(f"{study.hospital}:"))
