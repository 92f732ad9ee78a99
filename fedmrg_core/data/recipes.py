"""Recipes: how studies become hospitals. A recipe is a function (studies, params, seed) -> hospital of each study,
"" for a study that the split leaves out. The same everywhere: integers, ties by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedmrg_core.data.divide import deal, seeded_order, units_of
from fedmrg_core.types import DataError, Study, choose

Params = Mapping[str, Any]
Recipe = Callable[[Sequence[Study], Params, int], list[str]]


def own(studies: Sequence[Study], params: Params, seed: int) -> list[str]:
    """The hospital where each study was made. `sizes` (hospital -> studies) takes that many of each, no others."""
    sizes: Mapping[str, int] | None = params.get("sizes")
    if sizes is None:
        return [study.hospital for study in studies]
    return _subset(studies, [study.hospital for study in studies], sizes, seed)


def arbitrary(studies: Sequence[Study], params: Params, seed: int) -> list[str]:
    """Dealt at random by patient; into hospitals as large as the source's own, or as `sizes` (weights) says."""
    sizes: Mapping[str, int] = params.get("sizes") or _sizes([study.hospital for study in studies])
    return deal(studies, sizes, seed)


RECIPES: dict[str, Recipe] = {"own": own, "arbitrary": arbitrary}


def homes_of(recipe: str, studies: Sequence[Study], params: Params, seed: int) -> list[str]:
    """Run a recipe by name. Raises DataError where the name is unknown."""
    return RECIPES[choose("split recipe", recipe, RECIPES, DataError)](studies, params, seed)


def _sizes(homes: Sequence[str]) -> dict[str, int]:
    return {name: homes.count(name) for name in sorted(set(homes))}


def _subset(studies: Sequence[Study], homes: list[str], sizes: Mapping[str, int], seed: int) -> list[str]:
    """Whole patients, in a seeded order, until each named hospital has its size."""
    left = dict(sizes)
    kept = [""] * len(studies)
    missing = sorted(set(sizes) - set(homes))
    if missing:
        raise DataError(f"the data has no hospital '{missing[0]}', which the split wants")
    units = units_of(studies)
    for unit in sorted(seeded_order(studies, units, seed, "subset"), key=len):
        name = homes[unit[0]]
        if left.get(name, 0) >= len(unit):
            left[name] -= len(unit)
            for at in unit:
                kept[at] = name
    return kept
