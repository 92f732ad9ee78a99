"""Files that appear whole or not at all, and output where a user asked for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fedmrg_core.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`. What the block writes there takes the name `path` when the block ends well:
    flushed to the disk, in one step, through a symbolic link. An error leaves `path` as it was."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name[:200]}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, target)
        sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def output(path: Path) -> Iterator[IO[str]]:
    """A text stream to a path that a user named: a file appears whole or not at all; a pipe or device is written to.

    Raises DataError where it cannot be written.
    """
    check_output(path)
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8", newline="") as stream:
                yield stream
            return
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", str(path)) from error


def check_output(path: Path) -> None:
    """Raises DataError, before any work, where nothing can be written at `path`."""
    if path.is_dir():
        raise DataError("is a folder, not a file to write", str(path))
    if not path.resolve().parent.is_dir():
        raise DataError("its folder does not exist", str(path))


def sync(path: Path) -> None:
    """Force a file or folder to the disk; a system that cannot open a folder (Windows) goes without."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
