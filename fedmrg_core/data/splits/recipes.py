"""Recipes: how studies become hospitals. A recipe is a function (studies, facts, params, seed) -> hospital of each
study, "" for a study that the split leaves out. The same everywhere: integers, ties by id, no library's clustering."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from fedmrg_core.data.source import Facts
from fedmrg_core.data.splits.clusters import cluster
from fedmrg_core.data.splits.divide import deal, seeded_order, units_of
from fedmrg_core.errors import DataError, choose
from fedmrg_core.seeding import derive_seed, generator
from fedmrg_core.types import Study

Params = Mapping[str, Any]
Recipe = Callable[[Sequence[Study], Facts, Params, int], list[str]]


def own(studies: Sequence[Study], facts: Facts, params: Params, seed: int) -> list[str]:
    """The hospital where each study was made."""
    return [study.hospital for study in studies]


def arbitrary(studies: Sequence[Study], facts: Facts, params: Params, seed: int) -> list[str]:
    """Dealt at random by patient; into hospitals as large as the source's own, or as `weights` says."""
    weights: Mapping[str, int] = params.get("weights") or _sizes([study.hospital for study in studies])
    return deal(studies, weights, seed)


def group(studies: Sequence[Study], facts: Facts, params: Params, seed: int) -> list[str]:
    """Clusters of patients by reporting style, vocabulary and facts, as unequal as `weights` says. See clusters.py."""
    return cluster(studies, facts, params["weights"], params["facts"], seed)


def by_fact(studies: Sequence[Study], facts: Facts, params: Params, seed: int) -> list[str]:
    """One hospital per value of the fact `fact`: `hospitals` maps name -> values, `rest` takes all other values."""
    place: dict[str, str] = {value: name for name, values in params["hospitals"].items() for value in values}
    if not any(facts.get(study.study_id, {}).get(params["fact"]) for study in studies):
        raise DataError(f"the data says nothing of '{params['fact']}', which this split is made from (docs/data.md)")
    rest = str(params["rest"])
    return [place.get(facts.get(study.study_id, {}).get(params["fact"], ""), rest) for study in studies]


def dirichlet(studies: Sequence[Study], facts: Facts, params: Params, seed: int) -> list[str]:
    """Label skew: for each value of the fact `fact` (its first one), hospitals' shares are drawn from a Dirichlet of
    `alpha` (in hundredths: 30 = 0.3), rounded to thousandths. A patient goes by its first study."""
    names = sorted(params["weights"])
    shares: dict[str, list[int]] = {}
    homes = [""] * len(studies)
    for unit in units_of(studies):
        first = min(studies[at].study_id for at in unit)
        kind = facts.get(first, {}).get(params["fact"], "").split(";")[0]
        if kind not in shares:
            drawn = generator(seed, "dirichlet", kind).dirichlet([params["alpha"] / 100] * len(names))
            shares[kind] = [1 + round(1000 * share) for share in drawn.tolist()]
        point = derive_seed(seed, "dirichlet", kind, first) % sum(shares[kind])
        name = names[bisect_right(list(accumulate(shares[kind])), point)]
        for at in unit:
            homes[at] = name
    return homes


RECIPES: dict[str, Recipe] = {
    "own": own,
    "arbitrary": arbitrary,
    "group": group,
    "by_fact": by_fact,
    "dirichlet": dirichlet,
}


def homes_of(recipe: str, studies: Sequence[Study], facts: Facts, params: Params, seed: int) -> list[str]:
    """Run a recipe by name; `sizes` in its params (hospital -> studies) then keeps that many of each and no others.

    Raises DataError where the name is unknown, or a hospital is.
    """
    homes = RECIPES[choose("split recipe", recipe, RECIPES, DataError)](studies, facts, params, seed)
    return _subset(studies, homes, params["sizes"], seed) if "sizes" in params else homes


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
