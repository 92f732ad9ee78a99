"""The film cache: each film decoded and resized once, in Arrow shards that every process maps into its memory.

A shard is named by its content: the hash of its films' content keys, the transform and the size. So an interrupted
build continues where it stopped, two splits of the same data share their films, and a changed film renews its own
shard only. Beside it is the hash of its bytes, which every run checks: a damaged shard is made again. Shards are
written through `datasets` and can be opened with `datasets.Dataset.from_file`.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.images import TRANSFORM
from fedmrg_core.data.source import CachesHashes, Source, image_keys
from fedmrg_core.errors import DataError
from fedmrg_core.files import replacing, write_atomic
from fedmrg_core.hashes import file_sha256
from fedmrg_core.types import Study

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

SHARD_FILMS = 2048
BATCH_FILMS = 128
HASH = ".sha256"
"""Suffix of the file beside a shard that holds the hash of the shard's bytes."""

Shard = tuple[Path, int]
"""A shard's file and its number of films."""


class Films:
    """Films by row number, out of memory-mapped shards. A shard is opened when it is first read."""

    def __init__(self, shards: Sequence[Shard], size: int, views: int = 1) -> None:
        self._paths = [path for path, _ in shards]
        self._starts = np.cumsum([0, *(count for _, count in shards)])
        self._opened: dict[int, list[NDArray[np.uint8]]] = {}
        self.shape = (size, size) if views == 1 else (views, size, size)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: NDArray[np.integer[Any]] | Sequence[int]) -> NDArray[np.uint8]:
        """The films of these rows, uint8 [k, size, size], or [k, views, size, size] of several views: one copy out of
        mapped memory, which the caller may write."""
        wanted = np.asarray(rows, dtype=np.int64)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise IndexError(f"film rows reach {int(wanted.max())}; there are {len(self)}")
        shards = np.searchsorted(self._starts, wanted, side="right") - 1
        films = np.empty((len(wanted), *self.shape), np.uint8)
        for at, (shard, row) in enumerate(zip(shards.tolist(), wanted.tolist(), strict=True)):
            batch, offset = divmod(row - int(self._starts[shard]), BATCH_FILMS)
            films[at] = self._batches(shard)[batch][offset]
        return films

    def bad(self) -> list[int]:
        """Rows whose film could not be read when the shard was made."""
        tables = [_open(path).column("bad") for path in self._paths]
        flags = np.concatenate([np.zeros(0, bool), *(np.asarray(flag) for flag in tables)])
        return [int(row) for row in np.flatnonzero(flags)]

    def _batches(self, shard: int) -> list[NDArray[np.uint8]]:
        if shard not in self._opened:
            chunks = _open(self._paths[shard]).column("film").chunks
            self._opened[shard] = [_view(chunk, self.shape) for chunk in chunks]
        return self._opened[shard]


def build_films(
    source: Source, studies: Sequence[Study], size: int, root: Path, progress: bool, views: int = 1
) -> list[Shard]:
    """Decode the films of `studies` into shards below `root`, but for those that exist with the hash they were written
    with. Rows keep the order. views: that `source.image` gives."""
    keys = image_keys(source, studies)
    folder = root / f"films-{size}"
    parts: list[tuple[Path, Sequence[Study]]] = []
    for start in range(0, len(studies), SHARD_FILMS):
        part = slice(start, start + SHARD_FILMS)
        name = hashlib.sha256("\n".join([TRANSFORM, str(size), *keys[part]]).encode()).hexdigest()[:40]
        parts.append((folder / f"{name}.arrow", studies[part]))
    with ThreadPoolExecutor(_cores()) as pool:
        sound = list(pool.map(lambda part: _is_sound(part[0]) and _is_verified(source, *part), parts))
    todo = [one for one, good in zip(parts, sound, strict=True) if not good]
    log.info("films: %d shards found in %s, %d to make", len(parts) - len(todo), folder, len(todo))
    if todo:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # films of credentialed sources are stored here too
        _write_all(source, todo, size, progress, views)
    return [(path, len(part)) for path, part in parts]


def _is_sound(path: Path) -> bool:
    """Whether a shard exists and its bytes have the hash that was stored when it was written."""
    if not path.exists():
        return False
    try:
        if file_sha256(path) == path.with_suffix(HASH).read_text():
            return True
    except (OSError, ValueError):
        pass
    log.warning("film shard is damaged, or its hash is missing; it is made again: %s", path)
    return False


def _is_verified(source: Source, path: Path, studies: Sequence[Study]) -> bool:
    """Whether the films of a shard are known to be what was decoded. A published film has only its remembered hash."""
    if not isinstance(source, CachesHashes) or all(source.is_verified(study) for study in studies):
        return True
    log.warning("hashes of the films of a shard are missing; it is made again: %s", path)
    return False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_all(
    source: Source, todo: Sequence[tuple[Path, Sequence[Study]]], size: int, progress: bool, views: int
) -> None:
    from tqdm import tqdm

    films = tqdm(total=sum(len(studies) for _, studies in todo), unit="film", desc="films", disable=not progress)
    with ThreadPoolExecutor(_cores()) as pool, films as bar:
        for path, studies in todo:
            with replacing(path) as temporary:
                _write_shard(temporary, _decoded(source, studies, size, pool, bar, views))
                digest = file_sha256(temporary)
                if isinstance(source, CachesHashes):
                    source.save_hashes()  # before the shard exists: a film of a shard is always known by its hash
            write_atomic(path.with_suffix(HASH), digest.encode())
            log.debug("film shard written: %s (%d films)", path, len(studies))


def _decoded(
    source: Source, studies: Sequence[Study], size: int, pool: ThreadPoolExecutor, bar: Any, views: int
) -> Iterator[pa.Table]:
    """Tables of BATCH_FILMS films: no more than that is in memory at once."""
    import pyarrow as pa

    def one(study: Study) -> bytes | None:
        try:
            return np.ascontiguousarray(source.image(study, size), np.uint8).tobytes()
        except DataError:
            return None

    for start in range(0, len(studies), BATCH_FILMS):
        films = list(pool.map(one, studies[start : start + BATCH_FILMS]))
        blank = bytes(views * size * size)
        yield pa.table(
            {
                "film": pa.array([blank if film is None else film for film in films], pa.large_binary()),
                "bad": pa.array([film is None for film in films], pa.bool_()),
            }
        )
        bar.update(len(films))


def _write_shard(path: Path, tables: Iterator[pa.Table]) -> None:
    from datasets import Features, Value
    from datasets.arrow_writer import ArrowWriter

    features = Features({"film": Value("large_binary"), "bad": Value("bool")})
    with ArrowWriter(path=str(path), features=features) as writer:
        for table in tables:
            writer.write_table(table, writer_batch_size=BATCH_FILMS)
        writer.finalize()


def _open(path: Path) -> pa.Table:
    """A shard as a table over mapped memory. Raises DataError where it is absent or damaged."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"film cache is damaged or gone ({error}); delete it and run again", str(path)) from None


def _view(chunk: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The films of one record batch, [n, *shape], without a copy."""
    values = np.frombuffer(chunk.buffers()[2], np.uint8, count=len(chunk) * math.prod(shape))
    return values.reshape(len(chunk), *shape)
