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
    """One data set, read. `notes` counts what was left out, by reason."""

    name: str
    version: str
    credentialed: bool
    notes: dict[str, int]

    def studies(self) -> list[Study]:
        """Every usable study, sorted by study id. Raises DataError with file and row."""

    def image(self, study: Study, size: int) -> NDArray[np.uint8]:
        """The study's film, grey, uint8 [size, size]. Raises DataError where it cannot be read. Thread-safe."""

    def fingerprint(self) -> str:
        """SHA-256 (hex) over texts, labels and the identity of every film: the run's `data_sha256`."""


@runtime_checkable
class ImageKeyed(Protocol):
    """A source that knows a film's content without decoding it, so that cached films outlive a change of texts."""

    def image_key(self, study: Study) -> str:
        """A hash of the film's content."""


@runtime_checkable
class Remembering(Protocol):
    """A source that knows the next time what it has read of files that did not change."""

    def remember(self, cache: Path) -> None:
        """Keep it below `cache`, from now on."""


Facts = dict[str, dict[str, str]]
"""Study id -> what is known of it besides text and film, by name; several values of one name stand with ";" between."""


@runtime_checkable
class Factual(Protocol):
    """A source that knows more of its studies than `Study` holds: DICOM headers, human codes. Recipes may use it."""

    def facts(self) -> Facts:
        """Facts of every study."""


def facts_of(source: Source) -> Facts:
    """The source's facts; none where it has none."""
    return source.facts() if isinstance(source, Factual) else {}


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
