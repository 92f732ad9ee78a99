"""Several data sets as one federation, each a hospital: the data root holds a folder for each, named as it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.catalogue import open_data_set
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.source import CachesHashes, ImageKeyed, Source
from fedmrg_core.data.views import with_lateral
from fedmrg_core.types import Study


class CompositeSource:
    """Studies of every source, ids and patients as `<source>:<id>`, hospital = the source's name. Credentialed where
    one of them is. A subclass names the data sets in `parts`."""

    name = ""
    version = "1"
    partial = generated = False
    parts: tuple[str, ...] = ()

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = dict(sorted(sources.items()))
        self.credentialed = any(source.credentialed for source in self._sources.values())
        self.left_out: dict[str, int] = {}

    @classmethod
    def open(cls, data: DataConfig, seed: int) -> CompositeSource:
        """Open the folder of each part."""
        roots = {part: replace(data, path=str(Path(data.path) / part)) for part in cls.parts}
        return cls({part: open_data_set(part, own, seed) for part, own in roots.items()})

    @classmethod
    def detect(cls, root: Path) -> bool:
        """Whether the folder has one of every part."""
        return all((root / part).is_dir() for part in cls.parts)

    def studies(self) -> list[Study]:
        """See `Source.studies`."""
        found: list[Study] = []
        for name, source in self._sources.items():
            for study in source.studies():
                one, who = f"{name}:{study.study_id}", f"{name}:{study.patient_id}"
                found.append(replace(study, study_id=one, patient_id=who, hospital=name))
            self.left_out |= {f"{name}_{key}": count for key, count in source.left_out.items()}
        return sorted(found, key=lambda study: study.study_id)

    def image(self, study: Study, size: int) -> NDArray[np.uint8]:
        """See `Source.image`."""
        source, own = self._own(study)
        return source.image(own, size)

    def image_key(self, study: Study) -> str:
        """The source's own key."""
        source, own = self._own(study)
        assert isinstance(source, ImageKeyed)
        return f"{study.hospital}:{source.image_key(own)}"

    def use_lateral(self) -> None:
        """Of every source."""
        for source in self._sources.values():
            with_lateral(source)

    def has_films(self) -> bool:
        """Whether every source has films."""
        return all(source.has_films() for source in self._sources.values())

    def fingerprint(self) -> str:
        """SHA-256 over the sources' own fingerprints."""
        lines = [f"{name}:{source.fingerprint()}" for name, source in self._sources.items()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def use_cache(self, cache: Path) -> None:
        """See `FileSource.use_cache`."""
        for source in self._sources.values():
            if isinstance(source, CachesHashes):
                source.use_cache(cache)

    def save_hashes(self) -> None:
        """See `FileSource.save_hashes`."""
        for source in self._sources.values():
            if isinstance(source, CachesHashes):
                source.save_hashes()

    def is_verified(self, study: Study) -> bool:
        """See `CachesHashes.is_verified`."""
        source, own = self._own(study)
        return not isinstance(source, CachesHashes) or source.is_verified(own)

    def _own(self, study: Study) -> tuple[Source, Study]:
        source = self._sources[study.hospital]
        return source, replace(study, study_id=study.study_id.removeprefix(f"{study.hospital}:"))
