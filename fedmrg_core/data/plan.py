"""From a split's name and a data root to a plan: which source is read and how its studies are assigned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmrg_core.data import catalogue
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.hospital_names import hospital_key
from fedmrg_core.data.source import Source, metadata_of
from fedmrg_core.data.splits import split_file
from fedmrg_core.data.splits.as_given import assign_as_given
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.data.splits.duplicates import near_duplicate_groups
from fedmrg_core.errors import ConfigError
from fedmrg_core.types import Study

SPLITS = split_file.SPLITS
"""The folder of the fixed splits."""

ANY = "manifest"
"""As a split's name: whatever the data root holds."""


@dataclass(frozen=True)
class DataPlan:
    """A source and how its studies become hospitals. `split` and `version` go into results."""

    source: Source
    split: str
    version: str
    assign: Callable[[Sequence[Study]], Assignment]


def split_name(split: str, data: DataConfig) -> str:
    """The split that a run uses: `split`, or the data root's default where `split` is ANY, a data set's name alone, or
    a generated data set's split (the default of a run).

    Raises DataError where the data root holds no known data set, ConfigError where `split` is of another one.
    """
    if not data.path:
        return split
    found = catalogue.get(catalogue.detect(Path(data.path)))
    dataset = split.split("/")[0]
    if dataset not in (found.name, ANY) and not _is_generated(dataset):
        raise ConfigError(f"split '{split}' does not fit the data in '{data.path}', which is {found.name}")
    if not found.default_split:
        return f"{found.name}/{hospital_key(Path(data.path).resolve().name) or 'data'}"
    return split if dataset == found.name and "/" in split else found.default_split


def _is_generated(dataset: str) -> bool:
    known = catalogue.data_sets()
    return dataset in known and known[dataset].detect is None


def plan_for(data: DataConfig, split: str, seed: int, clients: int | None) -> DataPlan:
    """The plan of a run. See `prepare`."""
    name = split_name(split, data)
    if data.path and not catalogue.get(name.split("/")[0]).default_split:
        source = catalogue.open_data_set(name.split("/")[0], data, seed)
        return DataPlan(source, name, "1", lambda studies: assign_as_given(source, studies, data, seed, clients))
    return _fixed(data, name, seed, clients)


def _fixed(data: DataConfig, name: str, seed: int, clients: int | None) -> DataPlan:
    split = split_file.load(name, SPLITS)
    draw = split.draw_of(seed)
    source = catalogue.open_data_set(split.dataset, data, split.draws[draw].seed, split.knobs)

    def assign(studies: Sequence[Study]) -> Assignment:
        groups = near_duplicate_groups([study.report for study in studies]) if data.dedup else None
        whole = split_file.resolve(split, draw, studies, metadata_of(source), groups, source.partial)
        listed = split_file.count_listed(split, draw)
        if listed is not None and listed > len(whole.ids()):
            source.left_out["split_studies_absent"] = listed - len(whole.ids())
        return whole if clients is None else whole.first(clients)

    return DataPlan(source, name, split.version, assign)
