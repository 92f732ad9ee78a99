"""Films from files: any PNG or JPEG (and TIFF, GIF, BMP, WebP) to uint8 grey [size, size].

The rules: first frame; more than 8 bits, grey or colour, are rescaled from the film's own minimum and maximum to
0..255 (12-bit films in 16-bit files would else be black); transparent pixels become black; the whole film is used: its
longer side becomes `size`, and black bars fill the square. Refused: files that do not decode to their end, more than
100 megapixels, and paths that leave the data root by `..`, by being absolute, or through a symbolic link.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fedmrg_core.errors import DataError, one_line

TRANSFORM = "grey-minmax16-pad-bilinear-2"
"""Name and version of the transform, a part of every cache key: renew it when a pixel can change."""

MAX_PIXELS = 100_000_000
_ORIENTATION = 0x0112
FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")
_DEEP_COLOUR = re.compile(r"(LA|RGB|RGBA);16([BLN])")
"""Raw modes of 16-bit colour or transparency, of which Pillow itself keeps the high bytes only."""

_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def safe_path(root: Path, relative: str) -> Path:
    """The file `relative` below `root`. Raises DataError (no row) where it is absent or leaves the root.

    The root itself may be a symbolic link; nothing below it may.
    """
    name = relative.strip().replace("\\", "/")
    if not name or "\0" in name:
        raise DataError("the image path is empty or holds a NUL byte")
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        raise DataError(
            f"image path '{one_line(relative)}' leaves the data root; give it relative to {root.name}/, without '..'"
        )
    base = os.path.realpath(root)
    path = os.path.join(base, os.path.normpath(name))
    try:
        real = os.path.realpath(path)
        found = os.path.isfile(path)
    except (OSError, ValueError):
        raise DataError(f"image path '{one_line(relative)}' is not a file name") from None
    if real != path:
        raise DataError(
            f"image '{one_line(relative)}' is a symbolic link or behind one; copy the file into {root.name}/"
        )
    if not found:
        raise DataError(f"image '{one_line(relative)}' does not exist in {root.name}/")
    return Path(path)


def read_film(path: Path, size: int) -> NDArray[np.uint8]:
    """Decode and resize one film to uint8 grey [size, size]. Raises DataError (no row) saying what is wrong."""
    try:
        with Image.open(path, formats=FORMATS) as film:
            _refuse_bomb(film, path)
            deep = _DEEP_COLOUR.fullmatch(_raw_mode(film))
            if deep:
                return _square(_upright(_rescale(_deep_colour(path, *deep.groups())), film), size)
            film.draft("L", (2 * size, 2 * size))  # JPEG only: decode at 1/2, 1/4 or 1/8 where that suffices
            film.load()
            grey = _grey(ImageOps.exif_transpose(film))
        return _square(grey, size)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(f"image '{one_line(path.name)}' has over 100 megapixels") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on corrupt bytes
        raise DataError(f"image '{one_line(path.name)}' cannot be read ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "not an image" if "cannot identify" in text else text[:100]


def _refuse_bomb(film: Image.Image, path: Path) -> None:
    width, height = film.size
    if width * height > MAX_PIXELS:
        raise DataError(f"image '{one_line(path.name)}' is {width} x {height}: over 100 megapixels")


def _grey(film: Image.Image) -> Image.Image:
    if film.mode in _DEEP:
        return _rescale(np.asarray(film).astype(np.float32))
    if film.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in film.info:
        film = film.convert("RGBA")
        black = Image.new("RGBA", film.size, (0, 0, 0, 255))
        film = Image.alpha_composite(black, film)
    return film if film.mode == "L" else film.convert("RGB").convert("L")


def _raw_mode(film: Image.Image) -> str:
    """How the file stores its pixels, such as "RGB;16B"; "" where the format does not say."""
    tiles = getattr(film, "tile", None) or [("", None, 0, "")]
    args = tiles[0][3]
    return str(args[0] if isinstance(args, tuple) and args else args)


def _deep_colour(path: Path, mode: str, order: str) -> NDArray[np.float32]:
    """Grey values [height, width] of a 16-bit colour film, transparency on black; high and low bytes are decoded one
    after the other, as Pillow has no mode that holds both."""
    if mode == "LA":
        halves = _decoded(path, "RGBA", "RGBA")
        values = halves[..., 0::2] * np.float32(256) + halves[..., 1::2]
    else:
        big = order == "B" or (order == "N" and sys.byteorder == "big")
        high, low = (_decoded(path, mode, f"{mode};16{end}") for end in ("BL" if big else "LB"))
        values = high * np.float32(256) + low
    grey: NDArray[np.float32] = values[..., 0]
    if mode != "LA":
        grey = values[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey if mode == "RGB" else grey * (values[..., -1] / np.float32(65535))


def _decoded(path: Path, mode: str, raw_mode: str) -> NDArray[np.uint8]:
    """The pixels as if the file stored them as `raw_mode`."""
    with Image.open(path, formats=FORMATS) as film:
        opened: Any = film
        opened._mode = mode
        opened.tile = [
            tile._replace(args=raw_mode if isinstance(tile.args, str) else (raw_mode, *tile.args[1:]))
            for tile in opened.tile
        ]
        film.load()
        return np.asarray(film)


def _upright(grey: Image.Image, film: Image.Image) -> Image.Image:
    """`grey` turned as the film's EXIF data says."""
    grey.getexif()[_ORIENTATION] = film.getexif().get(_ORIENTATION, 1)
    return ImageOps.exif_transpose(grey)


def _rescale(values: NDArray[np.float32]) -> Image.Image:
    if not np.isfinite(values).all():
        raise DataError("the image holds values that are not numbers")
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _square(grey: Image.Image, size: int) -> NDArray[np.uint8]:
    width, height = grey.size
    scale = size / max(width, height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = grey if inner == grey.size else grey.resize(inner, Image.Resampling.BILINEAR, reducing_gap=3.0)
    film = np.zeros((size, size), np.uint8)
    top, left = (size - inner[1]) // 2, (size - inner[0]) // 2
    film[top : top + inner[1], left : left + inner[0]] = np.asarray(small)
    return film
