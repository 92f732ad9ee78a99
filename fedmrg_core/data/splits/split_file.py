"""Fixed splits: `splits/<dataset>/<name>.json`, made by `fedmrg splits make`, checked at the start of every run.

A file holds a recipe and, per draw (a run with seed N uses draw N % draws), the SHA-256 of every part. Open data has
its ids in the file too; the phantom's are thousands of made-up names that the recipe gives again exactly and the hash
verifies, so they are left out; credentialed data has neither (`status: recipe-only`) until a holder makes the split.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmrg_core.data.source import Metadata
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.data.splits.divide import divide
from fedmrg_core.data.splits.recipes import assign_hospitals
from fedmrg_core.errors import DataError, choose
from fedmrg_core.files import write_atomic
from fedmrg_core.paths import ROOT
from fedmrg_core.types import PARTS, Study

SPLITS = ROOT / "splits"
"""The folder of the committed splits."""

SCHEMA = 1


@dataclass(frozen=True)
class SplitDraw:
    """One draw of a split: hashes and counts by part, and ids where the data is open. `sha256` None: recipe only."""

    seed: int
    sha256: str | None
    parts: dict[str, str]
    counts: dict[str, dict[str, int]]
    data_sha256: str | None
    ids: dict[str, dict[str, list[str]]] | None
    dedup_sha256: str | None
    overlap: dict[str, int]


@dataclass(frozen=True)
class SplitFile:
    """A split as its JSON says. `name` is `dataset/name`; `recipe` has `kind`, `seed`, `unseen` and the kind's own."""

    name: str
    version: str
    dataset: str
    status: str
    recipe: dict[str, Any]
    command: str
    note: str
    draws: tuple[SplitDraw, ...]

    @property
    def unseen(self) -> frozenset[str]:
        """The hospitals that never take part in training."""
        return frozenset(self.recipe["unseen"])

    @property
    def knobs(self) -> Any:
        """The recipe's settings of the source that draws the data; None = as the source has them."""
        return self.recipe.get("knobs")

    def draw_of(self, seed: int) -> int:
        """The draw that a run with this seed uses."""
        return seed % len(self.draws)


def names(root: Path = SPLITS) -> list[str]:
    """Every split that has a file."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in root.glob("*/*.json"))


def load(name: str, root: Path = SPLITS) -> SplitFile:
    """Read a split's file. Raises DataError where the name is unknown or the file is damaged."""
    choose("split", name, names(root), DataError)
    path = root / f"{name}.json"
    try:
        content = json.loads(path.read_text("utf-8"))
        draws = tuple(SplitDraw(**draw) for draw in content.pop("draws"))
        if content.pop("schema_version") != SCHEMA:
            raise DataError(f"schema_version is not {SCHEMA}; this file is of another fedmrg", str(path))
        return SplitFile(draws=draws, **content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise DataError(f"damaged split file ({error}); rebuild it: fedmrg splits make {name}", str(path)) from None


def save(split: SplitFile, root: Path = SPLITS) -> Path:
    """Write a split's file atomically."""
    content = {"schema_version": SCHEMA, **vars(split), "draws": [vars(draw) for draw in split.draws]}
    path = root / f"{split.name}.json"
    write_atomic(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def assign(
    recipe: Mapping[str, Any],
    studies: Sequence[Study],
    metadata: Metadata,
    seed: int,
    groups: Sequence[list[int]] | None = None,
) -> Assignment:
    """Run a recipe on studies: hospitals first, then 70/10/20 (unseen 30/10/60) by patient inside each.

    `groups`: positions of studies that must share a part (near-duplicate reports); official parts, which ignore such
    groups, are then not used.
    """
    hospitals = assign_hospitals(recipe["kind"], studies, metadata, recipe, seed)
    official = recipe.get("parts") == "official" and groups is None
    return assign_parts(studies, hospitals, frozenset(recipe["unseen"]), seed, groups or (), official)


def assign_parts(
    studies: Sequence[Study],
    hospitals: Sequence[str],
    unseen: frozenset[str],
    seed: int,
    groups: Sequence[list[int]] = (),
    official: bool = False,
) -> Assignment:
    """Divide studies whose hospitals are known ("" leaves one out) into parts. See `assign`. `official`: at seen
    hospitals the part is the study's own."""
    keep = [at for at, hospital in enumerate(hospitals) if hospital]
    chosen, own = [studies[at] for at in keep], [hospitals[at] for at in keep]
    where = {at: new for new, at in enumerate(keep)}
    linked = [[where[at] for at in group if at in where] for group in groups]
    choices = set(own)
    for name in unseen:
        choose("unseen hospital", name, choices, DataError)
    parts = divide(chosen, own, unseen, seed, [group for group in linked if len(group) > 1])
    if official:
        both = zip(chosen, own, parts, strict=True)
        parts = [part if hospital in unseen else study.part for study, hospital, part in both]
    rows = ((study.study_id, name, part) for study, name, part in zip(chosen, own, parts, strict=True))
    return Assignment.of(rows, unseen)


def draw_seed(recipe: Mapping[str, Any], draw: int) -> int:
    """The seed of a draw's recipe."""
    return int(recipe["seed"]) + draw


def resolve(
    split: SplitFile,
    draw: int,
    studies: Sequence[Study],
    metadata: Metadata,
    groups: Sequence[list[int]] | None = None,
    partial: bool = False,
) -> Assignment:
    """The assignment of a draw, verified. `groups` not None: `dedup=true`, its own hash. `partial`: the source is
    known to hold a part of the collection only, so listed studies that it lacks are left out (another hash, then).

    Raises DataError naming the split and the parts whose hash differs.
    """
    record = split.draws[draw]
    if record.ids is not None:
        assignment = _from_ids(split, record, studies, partial)
        if groups is None:
            return assignment
        hospital_of = assignment.hospital_of()
        hospitals = [hospital_of.get(study.study_id, "") for study in studies]
        assignment = assign_parts(studies, hospitals, split.unseen, record.seed, groups)
    else:
        assignment = assign(split.recipe, studies, metadata, record.seed, groups)
    if groups is None:
        compare(split, draw, assignment)
    elif not partial and record.dedup_sha256 not in (None, assignment.sha256()):
        raise DataError(f"split {split.name} with dedup=true (draw {draw}) does not match the data: its hash differs")
    return assignment


def compare(split: SplitFile, draw: int, assignment: Assignment) -> None:
    """Raises DataError naming the parts whose hash differs from the file's; a recipe-only file has none to differ."""
    record = split.draws[draw]
    if record.sha256 in (None, assignment.sha256()):
        return
    found = assignment.part_hashes()
    parts = sorted(key for key in {*found, *record.parts} if found.get(key) != record.parts.get(key))
    raise DataError(
        f"split {split.name} (version {split.version}, draw {draw}) does not match the data: "
        f"{', '.join(parts[:6])}{', ..' if len(parts) > 6 else ''} differ from the committed hash; "
        f"use the data it was made for, or make a new version: fedmrg splits make {split.name}"
    )


def listed(split: SplitFile, record: SplitDraw) -> Assignment:
    """The assignment that a file lists. Raises DataError where its ids do not match its own hash."""
    assert record.ids is not None
    listed = ((name, part, parts[part]) for name, parts in record.ids.items() for part in PARTS)
    rows = ((study_id, name, part) for name, part, ids in listed for study_id in ids)
    assignment = Assignment.of(rows, split.unseen)
    wrong = sorted(key for key, value in assignment.part_hashes().items() if record.parts.get(key) != value)
    if wrong or assignment.sha256() != record.sha256:
        raise DataError(
            f"split {split.name}: the listed ids of {', '.join(wrong[:6])} do not match the file's own hash"
        )
    return assignment


def count_listed(split: SplitFile, draw: int) -> int | None:
    """How many studies a draw lists; None where it lists none."""
    ids = split.draws[draw].ids
    return None if ids is None else sum(len(group) for parts in ids.values() for group in parts.values())


def _from_ids(split: SplitFile, record: SplitDraw, studies: Sequence[Study], partial: bool) -> Assignment:
    assignment = listed(split, record)
    present = {study.study_id for study in studies}
    groups = [(name, part, ids) for name, parts in assignment.hospitals.items() for part, ids in parts.items()]
    absent = {f"{name}/{part}": [study_id for study_id in ids if study_id not in present] for name, part, ids in groups}
    missing = [study_id for ids in absent.values() for study_id in ids]
    if partial:
        return assignment.without(set(missing))
    if missing:
        parts = ", ".join([f"{name} ({len(ids)})" for name, ids in absent.items() if ids][:6])
        raise DataError(f"split {split.name}: the data lacks {len(missing)} studies: {parts}; first: '{missing[0]}'")
    return assignment
