"""Files that appear whole or not at all, and output where a user asked for it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fedmrg_core.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path. What the block writes there becomes `path` if the block ends without an error.

    A file is flushed to the disk and replaced in one step; a symbolic link is followed; a pipe or device is written to.
    An error in the block leaves `path` as it was.
    """
    if is_stream(path):
        with tempfile.TemporaryDirectory(prefix="fedmrg-") as folder:
            temporary = Path(folder) / "output"
            yield temporary
            with temporary.open("rb") as source, path.open(_mode(path, "b")) as target_stream:
                shutil.copyfileobj(source, target_stream)
        return
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
        if is_stream(path):
            with path.open(_mode(path), encoding="utf-8", newline="") as stream:
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
    if is_stream(path):
        return
    if not path.resolve().parent.is_dir():
        raise DataError("its folder does not exist", str(path))


def is_stream(path: Path) -> bool:
    """Whether `path` is written to, not replaced: a pipe, a device, or an open file by its number (/dev/stdout)."""
    if str(path.absolute()).startswith(("/dev/", "/proc/")):
        return path.exists() and not path.is_dir()
    return path.exists() and not path.is_file() and not path.is_dir()


def _mode(path: Path, kind: str = "") -> str:
    """Append to a file that is reached by its number, so that what its owner wrote stays."""
    return ("a" if path.is_file() else "w") + kind


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
