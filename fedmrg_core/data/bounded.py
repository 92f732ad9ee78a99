"""Reading with an upper bound: a small compressed file may expand to more than the memory holds."""

from __future__ import annotations

import io
from typing import IO

from fedmrg_core.errors import DataError

GIB = 1 << 30


class BoundedReader(io.RawIOBase):
    """A binary stream that raises DataError once more than `limit` bytes were read from it."""

    def __init__(self, stream: IO[bytes], limit: int, file: str) -> None:
        self._stream, self._limit, self._read, self._file = stream, limit, 0, file

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """See `io.RawIOBase`."""
        data = self._stream.read(len(buffer))
        self._read += len(data)
        if self._read > self._limit:
            raise DataError(f"holds more than {_size(self._limit)} unpacked, which no table needs", self._file)
        buffer[: len(data)] = data
        return len(data)


def read_bounded(stream: IO[bytes], limit: int, file: str) -> bytes:
    """All bytes of a stream. Raises DataError, naming it `file`, where they are more than `limit`."""
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise DataError(f"holds more than {_size(limit)}; nothing here needs so much", file)
    return data


def _size(limit: int) -> str:
    return f"{limit / GIB:.3g} GiB" if limit >= GIB else f"{limit / (1 << 20):.3g} MiB"
