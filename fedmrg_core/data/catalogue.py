"""The data sets by name. A new one is one file in `readers/` whose class or function is registered with `@data_set`:
the file is found and imported by being in that folder (docs/adding-a-data-set.md).

    source = open_data_set("iu_xray", data, seed=0)      # data.path is the folder
    name = detect(Path("downloads/iu"))                  # "iu_xray"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.source import Source
from fedmrg_core.errors import DataError, choose
from fedmrg_core.registration import import_files

Open = Callable[..., Source]
"""(settings, seed of the draw) -> source; of a generated data set also (settings, seed, knobs)."""

Knobs = Mapping[str, Mapping[str, Any]]
"""Section -> knob -> value, as in the data set's own settings."""

Reader = TypeVar("Reader")


@dataclass(frozen=True)
class DataSet:
    """A registered data set. `detect` None: it is generated and needs no folder."""

    name: str
    open: Open
    default_split: str
    detect: Callable[[Path], bool] | None
    looked_for: str
    precedence: int
    impressions: bool


REGISTRY: dict[str, DataSet] = {}
"""Filled by `data_set`; read it through `data_sets()`, which imports the readers first."""


def data_set(
    name: str,
    *,
    default_split: str = "",
    detect: Callable[[Path], bool] | None = None,
    looked_for: str = "",
    precedence: int = 0,
    impressions: bool = False,
) -> Callable[[Reader], Reader]:
    """Register a reader: a class with a classmethod `open(data, seed)`, as every FileSource is, or such a function.

    default_split: the committed split that a run gets where it names none; "": hospitals and parts are those that the
    studies name, else dealt and divided at random. detect: whether a folder holds this data set. looked_for: the files
    that `detect` looks for, for messages. precedence: the highest one wins where several data sets are detected.
    impressions: whether it reads them where `data.impression` asks for it.
    """

    def register(reader: Reader) -> Reader:
        if name in REGISTRY:
            raise ValueError(f"data set '{name}' is registered twice")
        opener: Open = getattr(reader, "open", reader)  # type: ignore[arg-type]
        REGISTRY[name] = DataSet(name, opener, default_split, detect, looked_for, precedence, impressions)
        if isinstance(reader, type):
            named: Any = reader
            named.name = name
        return reader

    return register


def data_sets() -> dict[str, DataSet]:
    """Every registered data set, by name."""
    import_files("fedmrg_core.data.readers")
    return dict(sorted(REGISTRY.items()))


def get(name: str) -> DataSet:
    """A data set by name. Raises DataError with the nearest name."""
    known = data_sets()
    return known[choose("data set", name, known, DataError)]


def detect(root: Path) -> str:
    """The data set that a folder holds. Raises DataError, saying what was looked for, where it is none or several."""
    if not root.is_dir():
        raise DataError(f"data root '{root}' is not a folder")
    known = [one for one in data_sets().values() if one.detect is not None]
    found = [one for one in known if one.detect is not None and one.detect(root)]
    highest = max((one.precedence for one in found), default=0)
    names = [one.name for one in found if one.precedence == highest]
    if len(names) > 1:
        raise DataError(f"'{root}' holds several data sets: {', '.join(names)}; give each a folder of its own")
    if not names:
        looked_for = ", ".join(one.looked_for for one in known)
        raise DataError(f"no known data set in '{root}': looked for {looked_for} (see docs/data.md)")
    return names[0]


def open_data_set(name: str, data: DataConfig, seed: int, knobs: Knobs | None = None) -> Source:
    """Open a data set by name. knobs: those of a generated data set that the split's recipe turns.

    Raises DataError if it needs a folder and none is given.
    """
    found = get(name)
    if found.detect is not None and not data.path:
        raise DataError(f"the split needs the {name} data: give its folder (DATA=dir; see docs/data.md)")
    if data.impression and not found.impressions:
        known = ", ".join(one.name for one in data_sets().values() if one.impressions)
        raise DataError(f"data.impression = true, and {name} has no impressions that are read; {known} have")
    return found.open(data, seed, knobs) if knobs else found.open(data, seed)
