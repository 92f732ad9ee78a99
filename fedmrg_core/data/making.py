"""Making and verifying split files from `splits/recipes.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedmrg_core.data import splits
from fedmrg_core.data.assignment import Assignment
from fedmrg_core.data.source import Source
from fedmrg_core.data.splits import Draw, SplitFile
from fedmrg_core.types import PARTS, DataError, choose

Open = Callable[[str, int], Source]
"""(data set, seed of the draw) -> source."""

IDS_UP_TO = 10_000
"""Open data of up to so many studies has its ids in the split file."""


def recipes(root: Path = splits.ROOT) -> dict[str, dict[str, Any]]:
    """Every entry of recipes.toml by split name."""
    return tomllib.loads((root / "recipes.toml").read_text("utf-8"))


def make(name: str, open_source: Open, root: Path = splits.ROOT) -> SplitFile:
    """Run a split's recipe for each draw. Raises DataError where the name is unknown or the data is not there."""
    known = recipes(root)
    recipe = dict(known[choose("split", name, known, DataError)])
    version, dataset, draws = recipe.pop("version"), recipe.pop("dataset"), recipe.pop("draws")
    made = tuple(_draw(open_source(dataset, int(recipe["seed"]) + draw), recipe, draw) for draw in range(draws))
    return SplitFile(name, version, dataset, "verified", recipe, f"fedmrg splits make {name}", made)


def unmade(name: str, root: Path = splits.ROOT) -> SplitFile:
    """The recipe-only file of a split whose data nobody here holds: no hash, no counts, no ids."""
    recipe = dict(recipes(root)[name])
    version, dataset, draws = recipe.pop("version"), recipe.pop("dataset"), recipe.pop("draws")
    empty = tuple(Draw(int(recipe["seed"]) + draw, None, {}, {}, None, None, None, {}) for draw in range(draws))
    return SplitFile(name, version, dataset, "recipe-only", recipe, f"fedmrg splits make {name}", empty)


def _draw(source: Source, recipe: dict[str, Any], draw: int) -> Draw:
    seed = splits.draw_seed(recipe, draw)
    studies = source.studies()
    assignment = splits.assign(recipe, studies, seed)
    assignment.check(studies)
    ids = _ids(assignment) if _lists_ids(source, len(studies)) else None
    return Draw(
        seed=seed,
        sha256=assignment.sha256(),
        parts=assignment.part_hashes(),
        counts=assignment.counts(),
        data_sha256=None if source.credentialed else source.fingerprint(),
        ids=ids,
        dedup_sha256=None,
        overlap={},
    )


def _lists_ids(source: Source, studies: int) -> bool:
    return not source.credentialed and source.name != "phantom" and studies <= IDS_UP_TO


def _ids(assignment: Assignment) -> dict[str, dict[str, list[str]]]:
    return {name: {part: list(parts[part]) for part in PARTS} for name, parts in assignment.hospitals.items()}
