"""Films of 12 bits in 16-bit colour or grey with alpha, which Pillow alone decodes to 0 to 15 of 255."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from fedmrg_core.data.images import read_film

RAMP = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (64, 1))
TWELVE = RAMP.astype(np.uint16) * 16 + 3
COLOUR_TYPE = {2: 4, 3: 2, 4: 6}


def png(pixels: np.ndarray) -> bytes:
    """A PNG of uint16 [height, width, 2 to 4], rows unfiltered and filtered by turns."""
    height, width, channels = pixels.shape
    raw, stride = pixels.astype(">u2").tobytes(), width * channels * 2
    rows, above = b"", bytes(stride)
    for at in range(height):
        row = raw[at * stride : (at + 1) * stride]
        up = bytes((a - b) & 255 for a, b in zip(row, above, strict=True))
        rows += b"\x02" + up if at % 2 else b"\x00" + row
        above = row

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPE[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(pixels: np.ndarray, end: str) -> bytes:
    """An uncompressed TIFF of uint16 [height, width, 3]."""
    height, width, _ = pixels.shape
    data = pixels.astype(f"{end}u2").tobytes()
    tags = [(256, 4, width), (257, 4, height), (258, 3, None), (259, 3, 1), (262, 3, 2), (273, 4, None), (277, 3, 3)]
    tags += [(278, 4, height), (279, 4, len(data))]
    bits = 8 + 2 + 12 * len(tags) + 4
    found = (b"II*\0" if end == "<" else b"MM\0*") + struct.pack(f"{end}IH", 8, len(tags))
    for tag, kind, value in tags:
        if value is None:
            where = (3, bits) if tag == 258 else (1, bits + 6)
            found += struct.pack(f"{end}HHII", tag, kind, *where)
        else:
            found += struct.pack(f"{end}HHI", tag, kind, 1)
            found += struct.pack(f"{end}HH", value, 0) if kind == 3 else struct.pack(f"{end}I", value)
    return found + struct.pack(f"{end}I3H", 0, 16, 16, 16) + data


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_twelve_bits_in_sixteen_bit_png(tmp_path: Path, channels: int) -> None:
    pixels = np.repeat(TWELVE[..., None], channels, axis=2)
    if channels != 3:
        pixels[..., -1] = 65535
    (tmp_path / "film.png").write_bytes(png(pixels))
    assert np.abs(read_film(tmp_path / "film.png", 64).astype(int) - RAMP).max() <= 1


@pytest.mark.parametrize("end", ["<", ">"])
def test_twelve_bits_in_sixteen_bit_tiff(tmp_path: Path, end: str) -> None:
    (tmp_path / "film.tif").write_bytes(tiff(np.repeat(TWELVE[..., None], 3, axis=2), end))
    assert np.abs(read_film(tmp_path / "film.tif", 64).astype(int) - RAMP).max() <= 1


def test_transparent_pixels_become_black(tmp_path: Path) -> None:
    pixels = np.stack([np.full((64, 64), 4000, np.uint16), np.full((64, 64), 65535, np.uint16)], axis=2)
    pixels[:, 32:, 1] = 0
    (tmp_path / "film.png").write_bytes(png(pixels))
    film = read_film(tmp_path / "film.png", 64)
    assert film[:, :32].min() == 255
    assert film[:, 32:].max() == 0
