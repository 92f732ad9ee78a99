"""What a reader gives: studies in a fixed order, one grey film per study, and a fingerprint of it all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.types import Study


class Source(Protocol):
    """One data set, read.

    credentialed: its text and ids go nowhere. partial: the data root holds a known part of the collection only.
    generated: made from a seed by a program, so that split files need not list its ids. left_out: counts, by reason, of
    what was left out or mended; complete once `studies` was called.
    """

    name: str
    version: str
    credentialed: bool
    partial: bool
    generated: bool
    left_out: dict[str, int]

    def studies(self) -> list[Study]:
        """Every usable study, sorted by study id. Raises DataError with file and row."""

    def image(self, study: Study, size: int) -> NDArray[np.uint8]:
        """The study's film, grey, uint8 [size, size]. Raises DataError where it cannot be read. Thread-safe."""

    def has_films(self) -> bool:
        """Whether any film exists: a data root may hold the texts alone."""

    def fingerprint(self) -> str:
        """SHA-256 (hex) over texts, labels and the identity of every film: the run's `data_sha256`."""


@runtime_checkable
class ImageKeyed(Protocol):
    """A source that knows a film's content without decoding it, so that cached films outlive a change of texts."""

    def image_key(self, study: Study) -> str:
        """A hash of the film's content."""


@runtime_checkable
class CachesHashes(Protocol):
    """A source that stores hashes of files, so that the next run reads only files that changed."""

    def use_cache(self, cache: Path) -> None:
        """Store hashes below `cache` from now on, and use those that are stored there."""

    def save_hashes(self) -> None:
        """Write the hashes that are known by now."""

    def is_verified(self, study: Study) -> bool:
        """Whether `image_key` tells if a film's content is not what was decoded earlier."""


@runtime_checkable
class HasRecipe(Protocol):
    """A source that a program makes, so that its fingerprint can be known before anything is made."""

    def recipe(self) -> str:
        """Hash of all that the fingerprint follows from."""


Metadata = dict[str, dict[str, str]]
"""Study id -> what is known of it besides text and film, by field; several values of one field are joined by ";"."""


@runtime_checkable
class HasMetadata(Protocol):
    """A source that knows more of its studies than `Study` holds: DICOM headers, human codes. Recipes may use it."""

    def metadata(self) -> Metadata:
        """Metadata of every study."""


def metadata_of(source: Source) -> Metadata:
    """The source's metadata; none where it has none."""
    return source.metadata() if isinstance(source, HasMetadata) else {}


def image_keys(source: Source, studies: Sequence[Study]) -> list[str]:
    """The identity of each study's film: its content where the source knows it, else source and study id."""
    if isinstance(source, ImageKeyed):
        return [source.image_key(study) for study in studies]
    base = source.fingerprint()
    return [f"{base}:{study.study_id}" for study in studies]


def fingerprint_studies(studies: Iterable[Study], keys: Iterable[str]) -> str:
    """SHA-256 over ids, texts, labels and film identities, in the order given."""
    digest = hashlib.sha256()
    for study, key in zip(studies, keys, strict=True):
        labels = ",".join(str(int(state)) for state in study.labels)
        row = (study.study_id, study.patient_id, study.hospital, study.part, study.report, labels, key)
        digest.update("\x1f".join(row).encode("utf-8", "surrogatepass") + b"\x1e")
    return digest.hexdigest()
