"""An assignment: which hospital and which part (train, val, test) every study of a split belongs to, and its hashes.

The hash is over sorted ids as text, so it is equal on every machine and needs neither films nor reports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedmrg_core.errors import ConfigError, DataError
from fedmrg_core.types import PARTS, Study

Parts = dict[str, tuple[str, ...]]
"""Part -> study ids, sorted."""


@dataclass(frozen=True)
class Assignment:
    """`hospitals`: name -> part -> sorted study ids. `unseen`: those that never take part in training."""

    hospitals: dict[str, Parts]
    unseen: frozenset[str]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str]], unseen: Iterable[str]) -> Assignment:
        """From (study id, hospital, part) rows in any order."""
        gathered: dict[str, dict[str, list[str]]] = {}
        for study_id, hospital, part in rows:
            gathered.setdefault(hospital, {name: [] for name in PARTS})[part].append(study_id)
        hospitals = {
            name: {part: tuple(sorted(ids)) for part, ids in parts.items()} for name, parts in sorted(gathered.items())
        }
        return cls(hospitals, frozenset(unseen))

    def ids(self) -> list[str]:
        """Every study id, sorted."""
        return sorted(study_id for parts in self.hospitals.values() for ids in parts.values() for study_id in ids)

    def hospital_of(self) -> dict[str, str]:
        """Study id -> hospital."""
        return {study_id: name for name, parts in self.hospitals.items() for ids in parts.values() for study_id in ids}

    def part_hashes(self) -> dict[str, str]:
        """`h01/train` -> SHA-256 of its ids; an unseen hospital's keys end with ` (unseen)`."""
        return {
            f"{name}/{part}{' (unseen)' if name in self.unseen else ''}": _sha256(ids)
            for name, parts in self.hospitals.items()
            for part, ids in parts.items()
        }

    def sha256(self) -> str:
        """SHA-256 of the whole assignment."""
        return _sha256(f"{key}={value}" for key, value in sorted(self.part_hashes().items()))

    def counts(self) -> dict[str, dict[str, int]]:
        """Hospital -> part -> number of studies."""
        return {name: {part: len(ids) for part, ids in parts.items()} for name, parts in self.hospitals.items()}

    def first(self, clients: int) -> Assignment:
        """The first `clients` seen hospitals by name, and all unseen ones. Raises ConfigError where there are fewer."""
        seen = [name for name in self.hospitals if name not in self.unseen]
        if not 1 <= clients <= len(seen):
            raise ConfigError(f"clients={clients}: the split has {len(seen)} seen hospitals; allowed: 1 to {len(seen)}")
        keep = set(seen[:clients]) | self.unseen
        return Assignment({name: parts for name, parts in self.hospitals.items() if name in keep}, self.unseen)

    def without(self, ids: set[str]) -> Assignment:
        """The same without some studies, such as those whose film cannot be read."""
        hospitals = {
            name: {part: tuple(study_id for study_id in group if study_id not in ids) for part, group in parts.items()}
            for name, parts in self.hospitals.items()
        }
        return Assignment(hospitals, self.unseen)

    def check(self, studies: Sequence[Study]) -> None:
        """Raises DataError where a patient is in two hospitals or parts, or a seen hospital lacks train or test."""
        patient = {study.study_id: study.patient_id for study in studies}
        known: dict[str, str] = {}
        for name, parts in self.hospitals.items():
            for part, ids in parts.items():
                for study_id in ids:
                    who = patient[study_id]
                    location = known.setdefault(who, f"{name}/{part}")
                    if location != f"{name}/{part}":
                        raise DataError(f"patient '{who}' is in {location} and in {name}/{part}")
            missing = [part for part in ("train", "test") if not parts[part]]
            if missing and not (name in self.unseen and parts["test"]):
                raise DataError(f"hospital '{name}' has no {' and no '.join(missing)} studies")


def _sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
