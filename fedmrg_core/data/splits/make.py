"""Making and verifying split files from `splits/recipes.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedmrg_core.data.catalogue import Knobs
from fedmrg_core.data.file_source import FileSource
from fedmrg_core.data.source import Metadata, Source, fingerprint_studies, metadata_of
from fedmrg_core.data.splits import split_file
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.data.splits.duplicates import near_duplicate_groups, overlap
from fedmrg_core.data.splits.split_file import SplitDraw, SplitFile
from fedmrg_core.errors import DataError, choose, first_line
from fedmrg_core.types import PARTS, Study

Open = Callable[[str, int, Knobs | None], Source]
"""(data set, seed of the draw, knobs of the recipe) -> source."""

NOTES = {
    "listed": "Open data: the ids are listed and used as they stand.",
    "generated": "No ids: the recipe gives these thousands of made-up names again exactly, and the hashes verify them.",
    "hashed": "Credentialed data: hashes and counts only, never ids.",
    "none": "Nobody who made this file held the data; its holder fills it in with the command above.",
}

IDS_UP_TO = 10_000
"""Open data of up to so many studies has its ids in the split file."""


def recipes(root: Path = split_file.SPLITS) -> dict[str, dict[str, Any]]:
    """Every entry of recipes.toml by split name. Raises DataError where it cannot be read."""
    path = root / "recipes.toml"
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else first_line(error)
        raise DataError(f"cannot be read ({why})", str(path)) from None


def recipe_of(name: str, root: Path = split_file.SPLITS) -> dict[str, Any]:
    """A split's recipe: its entry in recipes.toml without `version`, `dataset` and `draws`."""
    entry = recipes(root)[name]
    return {key: value for key, value in entry.items() if key not in ("version", "dataset", "draws")}


def make(name: str, open_source: Open, root: Path = split_file.SPLITS) -> SplitFile:
    """Run a split's recipe for each draw. Raises DataError where the name is unknown or the data is not there."""
    known = recipes(root)
    entry = known[choose("split", name, known, DataError)]
    recipe, dataset = recipe_of(name, root), entry["dataset"]
    knobs = recipe.get("knobs")
    seeds = [split_file.draw_seed(recipe, draw) for draw in range(entry["draws"])]
    made = tuple(_draw(open_source(dataset, seed, knobs), recipe, seed) for seed in seeds)
    kind = "listed" if made[0].ids is not None else "hashed"
    kind = "generated" if open_source(dataset, seeds[0], knobs).generated else kind
    return SplitFile(name, entry["version"], dataset, "made", recipe, _command(name), NOTES[kind], made)


def recipe_only(name: str, root: Path = split_file.SPLITS) -> SplitFile:
    """The recipe-only file of a split whose data nobody here holds: no hash, no counts, no ids."""
    recipe, entry = recipe_of(name, root), recipes(root)[name]
    seeds = [split_file.draw_seed(recipe, draw) for draw in range(entry["draws"])]
    empty = tuple(SplitDraw(seed, None, {}, {}, None, None, None, {}) for seed in seeds)
    return SplitFile(
        name, entry["version"], entry["dataset"], "recipe-only", recipe, _command(name), NOTES["none"], empty
    )


def _command(name: str) -> str:
    return f"fedmrg splits make {name}"


def check_ids(split: SplitFile) -> bool:
    """Whether the file lists ids. Raises DataError where they do not match the file's own hash."""
    listed = [draw for draw in split.draws if draw.ids is not None]
    for draw in listed:
        split_file.listed(split, draw)
    return bool(listed)


def verify(split: SplitFile, open_source: Open) -> None:
    """Run the recipe of every draw again. Raises DataError naming draw and parts that differ."""
    for number, draw in enumerate(split.draws):
        source = open_source(split.dataset, draw.seed, split.knobs)
        again = split_file.assign(split.recipe, source.studies(), metadata_of(source), draw.seed)
        split_file.compare(split, number, again)
        if draw.data_sha256 not in (None, data_hash(source)):
            raise DataError(f"split {split.name}, draw {number}: same ids and parts, but what it was made from changed")


def data_hash(source: Source) -> str | None:
    """SHA-256 of what a split's source says: texts, labels and films of the phantom; of files ids, patients and texts,
    so that it is the same with and without films and for every labeler. None where the data is credentialed."""
    if source.credentialed:
        return None
    if not isinstance(source, FileSource):
        return source.fingerprint()
    studies = source.studies()
    return fingerprint_studies((replace(study, labels=()) for study in studies), [""] * len(studies))


def _draw(source: Source, recipe: dict[str, Any], seed: int) -> SplitDraw:
    studies = source.studies()
    metadata = metadata_of(source)
    assignment = split_file.assign(recipe, studies, metadata, seed)
    assignment.check(studies)
    groups = near_duplicate_groups([study.report for study in studies])
    apart = _apart(recipe, studies, metadata, seed, groups)
    ids = _ids(assignment) if _lists_ids(source, len(studies)) else None
    return SplitDraw(
        seed=seed,
        sha256=assignment.sha256(),
        parts=assignment.part_hashes(),
        counts=assignment.counts(),
        data_sha256=data_hash(source),
        ids=ids,
        dedup_sha256=apart.sha256() if apart else None,
        overlap=overlap(assignment, studies, groups),
    )


def _apart(
    recipe: dict[str, Any], studies: list[Study], metadata: Metadata, seed: int, groups: list[list[int]]
) -> Assignment | None:
    """The assignment with dedup=true; None where a hospital is too small to be divided so."""
    try:
        return split_file.assign(recipe, studies, metadata, seed, groups)
    except DataError:
        return None


def _lists_ids(source: Source, studies: int) -> bool:
    return not source.credentialed and not source.generated and studies <= IDS_UP_TO


def _ids(assignment: Assignment) -> dict[str, dict[str, list[str]]]:
    return {name: {part: list(parts[part]) for part in PARTS} for name, parts in assignment.hospitals.items()}
