"""Recipes: how studies become hospitals. A recipe is a function (studies, metadata, params, seed) -> hospital of each
study, "" for a study that the split leaves out. The same everywhere: integers, ties by id, no library's clustering."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from fedmrg_core.data.source import Metadata
from fedmrg_core.data.splits.clusters import cluster
from fedmrg_core.data.splits.divide import assign_randomly, patient_groups, seeded_order
from fedmrg_core.errors import DataError, choose
from fedmrg_core.seeding import derive_seed, generator
from fedmrg_core.types import Study

Params = Mapping[str, Any]
Recipe = Callable[[Sequence[Study], Metadata, Params, int], list[str]]


def own(studies: Sequence[Study], metadata: Metadata, params: Params, seed: int) -> list[str]:
    """The hospital where each study was made."""
    return [study.hospital for study in studies]


def arbitrary(studies: Sequence[Study], metadata: Metadata, params: Params, seed: int) -> list[str]:
    """Dealt at random by patient; into hospitals as large as the source's own, or as `weights` says."""
    weights: Mapping[str, int] = params.get("weights") or _sizes([study.hospital for study in studies])
    return assign_randomly(studies, weights, seed)


def group(studies: Sequence[Study], metadata: Metadata, params: Params, seed: int) -> list[str]:
    """Clusters of patients by reporting style, vocabulary and metadata, with sizes by `weights`. See clusters.py."""
    return cluster(studies, metadata, params["weights"], params["metadata"], seed)


def by_metadata(studies: Sequence[Study], metadata: Metadata, params: Params, seed: int) -> list[str]:
    """One hospital per value of the metadata field `field`: `hospitals` maps name -> values, `rest` has the others."""
    hospital_of: dict[str, str] = {value: name for name, values in params["hospitals"].items() for value in values}
    if not any(metadata.get(study.study_id, {}).get(params["field"]) for study in studies):
        raise DataError(f"the data says nothing of '{params['field']}', which this split is made from (docs/data.md)")
    rest = str(params["rest"])
    return [hospital_of.get(metadata.get(study.study_id, {}).get(params["field"], ""), rest) for study in studies]


def dirichlet(studies: Sequence[Study], metadata: Metadata, params: Params, seed: int) -> list[str]:
    """Label skew: for each value of the metadata field `field` (its first one), hospitals' shares are drawn from a
    Dirichlet of `alpha` (in hundredths: 30 = 0.3), rounded to thousandths. A patient goes by its first study."""
    names = sorted(params["weights"])
    shares: dict[str, list[int]] = {}
    hospitals = [""] * len(studies)
    for group in patient_groups(studies):
        first = min(studies[at].study_id for at in group)
        kind = metadata.get(first, {}).get(params["field"], "").split(";")[0]
        if kind not in shares:
            drawn = generator(seed, "dirichlet", kind).dirichlet([params["alpha"] / 100] * len(names))
            shares[kind] = [1 + round(1000 * share) for share in drawn.tolist()]
        point = derive_seed(seed, "dirichlet", kind, first) % sum(shares[kind])
        name = names[bisect_right(list(accumulate(shares[kind])), point)]
        for at in group:
            hospitals[at] = name
    return hospitals


RECIPES: dict[str, Recipe] = {
    "own": own,
    "arbitrary": arbitrary,
    "group": group,
    "by_metadata": by_metadata,
    "dirichlet": dirichlet,
}


def assign_hospitals(recipe: str, studies: Sequence[Study], metadata: Metadata, params: Params, seed: int) -> list[str]:
    """Run a recipe by name; `sizes` in its params (hospital -> studies) then keeps that many of each and no others.

    Raises DataError where the name is unknown, or a hospital is.
    """
    hospitals = RECIPES[choose("split recipe", recipe, RECIPES, DataError)](studies, metadata, params, seed)
    return _subset(studies, hospitals, params["sizes"], seed) if "sizes" in params else hospitals


def _sizes(hospitals: Sequence[str]) -> dict[str, int]:
    return {name: hospitals.count(name) for name in sorted(set(hospitals))}


def _subset(studies: Sequence[Study], hospitals: list[str], sizes: Mapping[str, int], seed: int) -> list[str]:
    """Whole patients, in a seeded order, until each named hospital has its size."""
    left = dict(sizes)
    kept = [""] * len(studies)
    missing = sorted(set(sizes) - set(hospitals))
    if missing:
        raise DataError(f"the data has no hospital '{missing[0]}', which the split wants")
    groups = patient_groups(studies)
    for group in sorted(seeded_order(studies, groups, seed, "subset"), key=len):
        name = hospitals[group[0]]
        if left.get(name, 0) >= len(group):
            left[name] -= len(group)
            for at in group:
                kept[at] = name
    return kept
