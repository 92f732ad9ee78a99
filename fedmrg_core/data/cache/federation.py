"""A federation: everything that a process needs of its hospitals, mapped into memory from one folder.

`prepare` makes or finds it; `Federation.open(directory)` checks the tables' hashes and imports nothing heavier than
pyarrow, so that every worker opens its own.

    federation = prepare(data, "phantom/group", 0, image_size=64, cache_dir=Path(".cache"), clients=None, progress=True)
    hospital = federation.hospitals[0]
    films = federation.images(hospital.rows["train"][:16])      # uint8 [16, 64, 64]
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.cache.films import Films
from fedmrg_core.errors import DataError, first_line
from fedmrg_core.files import replacing
from fedmrg_core.hashes import file_sha256
from fedmrg_core.types import PARTS

if TYPE_CHECKING:
    import pyarrow as pa

META = "federation.json"
TEXTS = "texts.arrow"
LABELS = "labels.npy"
MEMBERSHIP = "membership.npy"


@dataclass(frozen=True)
class Hospital:
    """One client. `rows`: part -> int64 row numbers into the federation's tables, sorted by study id. An unseen
    hospital's train rows serve adaptation and are never used in training."""

    name: str
    seen: bool
    rows: dict[str, NDArray[np.int64]]


POOLED = "pooled"
"""The name of the one client of a centralised training."""


def pooled(hospitals: Iterable[Hospital]) -> Hospital:
    """One client that has the studies of all seen hospitals, in the hospitals' order."""
    seen = [hospital for hospital in hospitals if hospital.seen]
    return Hospital(POOLED, True, {part: np.concatenate([h.rows[part] for h in seen]) for part in PARTS})


class Texts(Sequence[str]):
    """A read-only list of strings that stays in mapped memory until an entry is asked for."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        return str(self._column[int(index)].as_py())

    def __iter__(self) -> Iterator[str]:
        for chunk in self._column.chunks:
            yield from chunk.to_pylist()

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Characters of every entry, int32 [n]."""
        import pyarrow.compute as pc

        return np.asarray(pc.utf8_length(self._column), np.int32)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class Federation:
    """The hospitals of one split of one data set. Open with `Federation.open`; pickles as its directory.

    study_ids, patient_ids, reports: by row; of credentialed and private sources the ids are codes (`private_ids.py`),
    so that nothing made from a federation can name a patient. labels: int8 [n, 14] of `LabelState`. hospitals: sorted
    by name. left_out: counts of what was left out or mended, by reason. split_sha256: of the assignment in use
    (it differs from the split file's where CLIENTS keeps only some hospitals). data_sha256: of texts, labels and films.
    """

    def __init__(self, directory: Path, meta: dict[str, Any], table: pa.Table) -> None:
        self.directory = directory
        self.name: str = meta["name"]
        self.split: str = meta["split"]
        self.version: str = meta["version"]
        self.credentialed: bool = meta["credentialed"]
        self.split_sha256: str = meta["split_sha256"]
        self.data_sha256: str = meta["data_sha256"]
        self.left_out: dict[str, int] = meta["left_out"]
        self.image_size: int = meta["image_size"]
        self.study_ids = Texts(table.column("study_id"))
        self.patient_ids = Texts(table.column("patient_id"))
        self.reports = Texts(table.column("report"))
        self.labels: NDArray[np.int8] = _mapped(directory / LABELS)
        self.hospitals: tuple[Hospital, ...] = _hospitals(_mapped(directory / MEMBERSHIP), meta)
        shards = [((directory / path).resolve(), count) for path, count in meta["shards"]]
        self._films = Films(shards, self.image_size, meta.get("views", 1))

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Federation.open, (self.directory,)

    def __len__(self) -> int:
        return len(self.study_ids)

    def __repr__(self) -> str:
        seen = sum(hospital.seen for hospital in self.hospitals)
        return f"Federation({self.split}: {len(self)} studies, {seen} seen hospitals of {len(self.hospitals)})"

    def images(self, rows: NDArray[np.integer[Any]] | Sequence[int]) -> NDArray[np.uint8]:
        """Films by row, uint8 [k, size, size], or [k, views, size, size] of several views: one copy out of mapped
        memory. Raises IndexError."""
        return self._films.take(rows)

    def frontal(self, rows: NDArray[np.integer[Any]] | Sequence[int]) -> NDArray[np.uint8]:
        """The frontal film of each row, uint8 [k, size, size]."""
        films = self.images(rows)
        return films if films.ndim == 3 else films[:, 0]

    @classmethod
    def open(cls, directory: Path | str) -> Federation:
        """Map a prepared folder into memory. Raises DataError where it is absent or damaged."""
        import pyarrow as pa

        folder = Path(directory)
        try:
            meta = json.loads((folder / META).read_text("utf-8"))
            check_tables(folder, meta["tables"])
            table = pa.ipc.open_file(pa.memory_map(str(folder / TEXTS))).read_all()
            return cls(folder, meta, table)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            why = first_line(error)
            raise DataError(f"not a prepared federation ({why}); delete it and run again", str(folder)) from None


def write_tables(
    directory: Path, texts: dict[str, list[str]], labels: NDArray[np.int8], membership: NDArray[np.int16]
) -> None:
    """Write texts by column, labels [n, 14], and each row's hospital and part by number ([n, 2]; -1: none), flushed to
    the disk. `table_hashes` gives the hashes that `check_tables` wants."""
    import pyarrow as pa

    table = pa.table({name: pa.array(values, pa.large_string()) for name, values in texts.items()})
    with (
        replacing(directory / TEXTS) as path,
        pa.OSFile(os.fspath(path), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    for name, array in ((LABELS, labels), (MEMBERSHIP, membership)):
        with replacing(directory / name) as path, path.open("wb") as file:
            np.save(file, array, allow_pickle=False)


def table_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of each table's file, by name."""
    return {name: file_sha256(directory / name) for name in (TEXTS, LABELS, MEMBERSHIP)}


def check_tables(directory: Path, hashes: Mapping[str, str]) -> None:
    """Raises ValueError naming the tables whose bytes are not those that were written."""
    wrong = [name for name, digest in table_hashes(directory).items() if hashes.get(name) != digest]
    if wrong:
        raise ValueError(f"damaged: {', '.join(wrong)}")


def _mapped(path: Path) -> NDArray[Any]:
    """A saved array over mapped memory (numpy, since pyarrow's own conversion imports pandas)."""
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _hospitals(membership: NDArray[np.int16], meta: dict[str, Any]) -> tuple[Hospital, ...]:
    unseen = set(meta["unseen"])
    hospitals = []
    for at, name in enumerate(meta["hospitals"]):
        own = membership[:, 0] == at
        rows = {part: np.flatnonzero(own & (membership[:, 1] == number)) for number, part in enumerate(PARTS)}
        hospitals.append(Hospital(name, name not in unseen, rows))
    return tuple(hospitals)
