"""Hospitals and parts as the data names them, for data sets without a fixed split, such as a folder with a manifest."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.hospital_names import HospitalKeys, hospital_key
from fedmrg_core.data.source import Source
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.data.splits.divide import SMALLEST, assign_randomly, divide
from fedmrg_core.data.splits.duplicates import near_duplicate_groups
from fedmrg_core.errors import DataError, choose, one_line
from fedmrg_core.types import Study

log = logging.getLogger(__name__)


def assign_as_given(
    source: Source, studies: Sequence[Study], data: DataConfig, seed: int, clients: int | None
) -> Assignment:
    """Hospitals and parts as the studies name them. Where they name none, studies are dealt at random into `clients`
    (else `data.deal`) hospitals, and divided 70/10/20 by patient inside each hospital.

    Raises DataError, and ConfigError for an unknown unseen hospital."""
    has_hospitals, has_parts = (any(getattr(study, name) for study in studies) for name in ("hospital", "part"))
    if has_hospitals:
        hospitals = _merged(_keys(studies), data, source.left_out)
    else:
        count = clients or data.deal
        hospitals = assign_randomly(studies, {f"h{at + 1:02d}": 1 for at in range(count)}, seed)
        hospitals = _merged(hospitals, data, source.left_out)
    unseen = frozenset(choose("unseen hospital", hospital_key(name), set(hospitals)) for name in data.unseen_names)
    if unseen >= set(hospitals):
        raise DataError("every hospital is unseen; one at least must take part in training")
    if has_parts and data.dedup:
        raise DataError("dedup=true would move studies out of the parts that the data names (column 'split'): drop one")
    groups = near_duplicate_groups([study.report for study in studies]) if data.dedup else ()
    parts = [study.part for study in studies] if has_parts else divide(studies, hospitals, unseen, seed, groups)
    rows = zip((study.study_id for study in studies), hospitals, parts, strict=True)
    assignment = Assignment.of(rows, unseen)
    return assignment.first(clients) if clients and has_hospitals else assignment


def _keys(studies: Sequence[Study]) -> list[str]:
    key = HospitalKeys()
    keys = {name: key(name) for name in dict.fromkeys(study.hospital for study in studies)}
    for name in keys.keys() - keys.values():
        log.info("hospital '%s' is called %s", one_line(name), keys[name])
    return [keys[study.hospital] for study in studies]


def _merged(hospitals: list[str], data: DataConfig, left_out: dict[str, int]) -> list[str]:
    """Refuse or merge hospitals under SMALLEST studies; merged and still too small, they join the smallest other."""
    sizes = {name: hospitals.count(name) for name in sorted(set(hospitals))}
    small = [name for name, size in sizes.items() if size < SMALLEST]
    if not small:
        return hospitals
    if data.small != "merge":
        raise DataError(
            f"hospital '{small[0]}' has {sizes[small[0]]} studies ({len(small)} of {len(sizes)} hospitals have under "
            f"{SMALLEST}); small=merge puts them together",
        )
    left_out["hospitals_merged"] = len(small)
    large = [name for name in sizes if name not in small]
    target = "merged"
    if sum(sizes[name] for name in small) < SMALLEST and large:
        target = min(large, key=lambda name: (sizes[name], name))
    return [target if name in small else name for name in hospitals]
