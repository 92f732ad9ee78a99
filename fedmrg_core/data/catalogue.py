"""From a split's name and a data root to a plan: which source is read and how its studies are assigned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.file_source import FileSource
from fedmrg_core.data.readers import chexpert_plus, iu_xray, mimic_cxr
from fedmrg_core.data.readers.chexpert_plus import ChexpertPlusSource
from fedmrg_core.data.readers.composite import CompositeSource
from fedmrg_core.data.readers.iu_xray import IUXraySource
from fedmrg_core.data.readers.mimic_cxr import MimicSource
from fedmrg_core.data.source import Source, facts_of
from fedmrg_core.data.splits import split_file
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.data.splits.duplicates import near_duplicate_groups
from fedmrg_core.errors import ConfigError, DataError, choose
from fedmrg_core.types import Study


@dataclass(frozen=True)
class Plan:
    """A source and how its studies become hospitals. `split` and `version` go into results."""

    source: Source
    split: str
    version: str
    assign: Callable[[Sequence[Study]], Assignment]


SPLITS = split_file.SPLITS
"""Where fixed splits are looked for."""

Opener = Callable[[DataConfig, int], Source]
"""(settings, seed of the draw) -> source."""


def _phantom(data: DataConfig, seed: int) -> Source:
    from fedmrg_core.data.phantom import PhantomConfig, PhantomSource

    return PhantomSource(PhantomConfig.load(), seed)


FILE_SOURCES: dict[str, type[FileSource]] = {
    "iu_xray": IUXraySource,
    "mimic_cxr": MimicSource,
    "chexpert_plus": ChexpertPlusSource,
}
"""Data set -> its reader."""

COMPOSITES: dict[str, tuple[str, ...]] = {"mimic_chexpertplus": ("chexpert_plus", "iu_xray", "mimic_cxr")}
"""Data set made of others: its root holds a folder for each, named as it."""

OPENERS: dict[str, Opener] = {"phantom": _phantom}
"""Data sets that need no data root. A test may add one."""

DEFAULT_SPLIT = {
    "iu_xray": "iu_xray/group",
    "mimic_cxr": "mimic_cxr/group",
    "mimic_chexpertplus": "mimic_chexpertplus/iu_unseen",
}
"""The split that a data root gets where the run names none of its own."""


def detect(root: Path) -> str:
    """The data set that a folder holds, found by looking. Raises DataError saying what was looked for."""
    if not root.is_dir():
        raise DataError(f"data root '{root}' is not a folder")
    if (root / "manifest.csv").is_file():
        return "manifest"
    layouts = {"iu_xray": iu_xray.layout_of, "mimic_cxr": mimic_cxr.layout_of, "chexpert_plus": chexpert_plus.layout_of}
    for name, layout in layouts.items():
        if layout(root):
            return name
    for name, parts in COMPOSITES.items():
        if all((root / part).is_dir() for part in parts):
            return name
    wanted = f"manifest.csv, {iu_xray.REPORTS}, {iu_xray.XML}/, annotation.json, {mimic_cxr.PREFIX}metadata.csv(.gz)"
    raise DataError(f"no known data set in '{root}': looked for {wanted}, {chexpert_plus.TABLE} (see docs/data.md)")


def split_name(split: str, data: DataConfig) -> str:
    """The split that a run uses: `split`, or the data root's own where `split` is of the phantom or "manifest".

    Raises DataError where the data root holds another data set than the split wants, or none.
    """
    if not data.path:
        return split
    found = detect(Path(data.path))
    if found == "manifest":
        from fedmrg_core.data.readers.manifest import slug

        return f"manifest/{slug(Path(data.path).resolve().name) or 'data'}"
    if split.split("/")[0] == found:
        return split
    if split == "manifest" or split.startswith("phantom/"):
        if found not in DEFAULT_SPLIT:
            wholes = ", ".join(DEFAULT_SPLIT[whole] for whole, parts in COMPOSITES.items() if found in parts)
            raise DataError(
                f"'{data.path}' is {found}, which is a part of {wholes} only: give the folder of all its parts"
            )
        return DEFAULT_SPLIT[found]
    raise ConfigError(f"split '{split}' does not fit the data in '{data.path}', which is {found}")


def plan_for(data: DataConfig, split: str, seed: int, clients: int | None) -> Plan:
    """The plan of a run. See `build.prepare`."""
    name = split_name(split, data)
    if name.startswith("manifest/"):
        from fedmrg_core.data.readers.manifest import ManifestSource, assign_manifest

        source = ManifestSource(Path(data.path), data)
        return Plan(source, name, "1", lambda studies: assign_manifest(source, studies, data, seed, clients))
    return _fixed(data, name, seed, clients)


def _fixed(data: DataConfig, name: str, seed: int, clients: int | None) -> Plan:
    split = split_file.load(name, SPLITS)
    draw = split.draw_of(seed)
    source = open_dataset(split.dataset, data, split.draws[draw].seed)

    def assign(studies: Sequence[Study]) -> Assignment:
        groups = near_duplicate_groups([study.report for study in studies]) if data.dedup else None
        whole = split_file.resolve(split, draw, studies, facts_of(source), groups, getattr(source, "partial", False))
        listed = split_file.listed_studies(split, draw)
        if listed is not None and listed > len(whole.ids()):
            source.notes["split_studies_absent"] = listed - len(whole.ids())
        return whole if clients is None else whole.first(clients)

    return Plan(source, name, split.version, assign)


def open_dataset(dataset: str, data: DataConfig, seed: int) -> Source:
    """Open a data set by name. Raises DataError where the split needs a data root and there is none."""
    if dataset in OPENERS:
        return OPENERS[dataset](data, seed)
    choose("data set", dataset, (*OPENERS, *FILE_SOURCES, *COMPOSITES), DataError)
    if not data.path:
        raise DataError(f"the split needs the {dataset} data: give its folder (DATA=dir; see docs/data.md)")
    root = Path(data.path)
    if dataset in COMPOSITES:
        return CompositeSource(dataset, {part: FILE_SOURCES[part](root / part, data) for part in COMPOSITES[dataset]})
    return FILE_SOURCES[dataset](root, data)
