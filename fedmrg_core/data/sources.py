"""From a split's name and a data root to a plan: which source is read and how its studies are assigned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmrg_core.data import splits
from fedmrg_core.data.assignment import Assignment
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.duplicates import near_duplicate_groups
from fedmrg_core.data.iu_xray import ANNOTATION, REPORTS, XML, IUXraySource, layout_of
from fedmrg_core.data.source import Source, facts_of
from fedmrg_core.types import ConfigError, DataError, Study


@dataclass(frozen=True)
class Plan:
    """A source and how its studies become hospitals. `split` and `version` go into results."""

    source: Source
    split: str
    version: str
    assign: Callable[[Sequence[Study]], Assignment]


SPLITS = splits.ROOT
"""Where fixed splits are looked for."""

Opener = Callable[[DataConfig, int], Source]
"""(settings, seed of the draw) -> source."""


def _phantom(data: DataConfig, seed: int) -> Source:
    from fedmrg_core.data.phantom import PhantomConfig, PhantomSource

    return PhantomSource(PhantomConfig.load(), seed)


def _iu_xray(data: DataConfig, seed: int) -> Source:
    return IUXraySource(Path(data.path), data)


OPENERS: dict[str, Opener] = {"phantom": _phantom, "iu_xray": _iu_xray}
"""Data set (the split's name before `/`) -> how it is opened. A test may add one."""

DEFAULT_SPLIT = {"iu_xray": "iu_xray/group", "mimic_cxr": "mimic_cxr/group"}
"""The split that a data root gets where the run names none of its own."""


def detect(root: Path) -> str:
    """The data set that a folder holds, found by looking. Raises DataError saying what was looked for."""
    if not root.is_dir():
        raise DataError(f"data root '{root}' is not a folder")
    if (root / "manifest.csv").is_file():
        return "manifest"
    if layout_of(root):
        return "iu_xray"
    wanted = f"manifest.csv, {REPORTS}, {XML}/ or R2Gen's {ANNOTATION}"
    raise DataError(f"no known data set in '{root}': looked for {wanted} (see docs/data.md)")


def split_name(split: str, data: DataConfig) -> str:
    """The split that a run uses: `split`, or the data root's own where `split` is of the phantom.

    Raises DataError where the data root holds another data set than the split wants, or none.
    """
    if not data.path:
        return split
    found = detect(Path(data.path))
    if found == "manifest":
        from fedmrg_core.data.manifest import slug

        return f"manifest/{slug(Path(data.path).resolve().name) or 'data'}"
    if split.split("/")[0] == found:
        return split
    if split.startswith("phantom/"):
        return DEFAULT_SPLIT[found]
    raise ConfigError(f"split '{split}' does not fit the data in '{data.path}', which is {found}")


def plan_for(data: DataConfig, split: str, seed: int, clients: int | None) -> Plan:
    """The plan of a run. See `federation.prepare`."""
    name = split_name(split, data)
    if name.startswith("manifest/"):
        from fedmrg_core.data.manifest import ManifestSource, assign_manifest

        source = ManifestSource(Path(data.path), data)
        return Plan(source, name, "1", lambda studies: assign_manifest(source, studies, data, seed, clients))
    return _fixed(data, name, seed, clients)


def _fixed(data: DataConfig, name: str, seed: int, clients: int | None) -> Plan:
    split = splits.load(name, SPLITS)
    draw = split.draw_of(seed)
    source = open_dataset(split.dataset, data, split.draws[draw].seed)

    def assign(studies: Sequence[Study]) -> Assignment:
        groups = near_duplicate_groups([study.report for study in studies]) if data.dedup else None
        whole = splits.resolve(split, draw, studies, facts_of(source), groups, getattr(source, "partial", False))
        listed = splits.listed_studies(split, draw)
        if listed is not None and listed > len(whole.ids()):
            source.notes["split_studies_absent"] = listed - len(whole.ids())
        return whole if clients is None else whole.first(clients)

    return Plan(source, name, split.version, assign)


def open_dataset(dataset: str, data: DataConfig, seed: int) -> Source:
    """Open a data set by name. Raises DataError where the split needs a data root and there is none."""
    if dataset not in OPENERS:
        raise DataError(f"this fedmrg reads no data set '{dataset}'; known: {', '.join(sorted(OPENERS))}, manifest")
    if dataset != "phantom" and not data.path:
        raise DataError(f"the split needs the {dataset} data: give its folder (DATA=dir; see docs/data.md)")
    return OPENERS[dataset](data, seed)
