"""Soft shapes on a film: every drawing primitive is a smooth function of the film's coordinates, so that a film can be
rendered at any size. x runs from -1 (the patient's right) to 1, y from -1 (top) to 1; lengths are in the same unit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
"""One value per pixel, float32 [size, size] (the type is wider: numpy cannot tell it through arithmetic)."""

Point = tuple[float, float]


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[Field, Field]:
    """Pixel centres (x, y) of a film of `size` pixels."""
    line = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1).astype(np.float32)
    x, y = np.meshgrid(line, line)
    return x, y


def step(value: Field, soft: float) -> Field:
    """0 where value is below -soft, 1 where above soft, a ramp in between (the optics round it off)."""
    rise = np.multiply(value, np.float32(0.5 / soft), dtype=np.float32)
    rise += np.float32(0.5)
    np.maximum(rise, 0, out=rise)
    np.minimum(rise, 1, out=rise)
    return rise


def bump(distance: Field, width: float) -> Field:
    """A Gaussian ridge of the given half-width around distance 0."""
    scaled = np.multiply(distance, np.float32(1 / width), dtype=np.float32)
    scaled *= scaled
    return np.exp(-scaled)


def blob(x: Field, y: Field, centre: Point, radii: Point) -> Field:
    """A Gaussian blob."""
    u, v = (x - centre[0]) * np.float32(1 / radii[0]), (y - centre[1]) * np.float32(1 / radii[1])
    result: Field = np.exp(-(u * u + v * v))
    return result


def egg(x: Field, y: Field, centre: Point, radii: Point, turn: float, soft: float) -> Field:
    """A disc with its axes turned by an angle (radians, from x towards y)."""
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    dx, dy = x - centre[0], y - centre[1]
    return disc(dx * c + dy * s, dy * c - dx * s, (0.0, 0.0), radii, soft)


def disc(x: Field, y: Field, centre: Point, radii: Point, soft: float) -> Field:
    """An ellipse with an edge `soft` wide."""
    u, v = (x - centre[0]) * np.float32(1 / radii[0]), (y - centre[1]) * np.float32(1 / radii[1])
    return step((1 - np.sqrt(u * u + v * v)) * np.float32(min(radii)), soft)


def stroke(x: Field, y: Field, points: Sequence[Point], width: float) -> Field:
    """A line through the points, `width` half-wide; never thinner than a pixel can show."""
    thin = max(width, 1.0 / x.shape[0])
    ends = np.asarray(points, dtype=np.float32)
    window = _window(x, y, ends, 3 * thin + 0.06)
    result: Field = np.zeros(x.shape, np.float32)
    result[window] = np.exp(_distance2(x[window], y[window], ends) * np.float32(-1 / (thin * thin)))
    return result


def _window(x: Field, y: Field, ends: Field, margin: float) -> tuple[slice, slice]:
    """The rows and columns that a line can touch; the margin allows for the film's tilt."""
    middle = x.shape[0] // 2
    low, high = ends.min(0) - margin, ends.max(0) + margin
    left, right = np.searchsorted(x[middle], (low[0], high[0])).tolist()
    top, bottom = np.searchsorted(y[:, middle], (low[1], high[1])).tolist()
    return slice(top, bottom), slice(left, right)


def _distance2(x: Field, y: Field, ends: Field) -> Field:
    """Squared distance to a polyline, all its pieces at once."""
    start, run = ends[:-1, :, None, None], (ends[1:] - ends[:-1])[:, :, None, None]
    unit = run / ((run * run).sum(1, keepdims=True) + np.float32(1e-9))
    px, py = x - start[:, 0], y - start[:, 1]
    along = px * unit[:, 0]
    along += py * unit[:, 1]
    np.maximum(along, 0, out=along)
    np.minimum(along, 1, out=along)
    px -= along * run[:, 0]
    py -= along * run[:, 1]
    px *= px
    py *= py
    px += py
    result: Field = px.min(0)
    return result


def smooth_min(a: Field, b: Field, reach: float = 0.12) -> Field:
    """The smaller of two fields, rounded off where they are within `reach` of each other."""
    near = np.maximum(np.float32(reach) - np.abs(a - b), 0)
    result: Field = np.minimum(a, b) - near * near * np.float32(0.25 / reach)
    return result


@lru_cache(maxsize=64)
def upsampler(size: int, knots: int) -> Field:
    """A [size, knots] matrix that interpolates `knots` values smoothly over `size` pixels."""
    position = (np.arange(size) + 0.5) / size * knots - 0.5
    distance = np.abs(position[:, None] - np.arange(knots)[None, :])
    weights = np.exp(-((distance / 0.7) ** 2))
    result: Field = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return result


def texture(rng: np.random.Generator, size: int, knots: int) -> Field:
    """Smooth noise of about unit variance with `knots` features across the film, alike at every film size."""
    smooth = upsampler(size, knots)
    result: Field = smooth @ rng.standard_normal((knots, knots), dtype=np.float32) @ smooth.T
    return result * np.float32(1.8)


@lru_cache(maxsize=256)
def optics(size: int, native: int, blur: float) -> Field:
    """A [size, size] matrix: Gaussian blur, then the detector's `native` pixels, then back to the film's own."""
    line = (np.arange(size) + 0.5) / size * 2 - 1
    kernel = np.exp(-0.5 * ((line[:, None] - line[None, :]) / max(blur, 0.2 / size)) ** 2)
    kernel /= kernel.sum(1, keepdims=True)
    if native >= size:
        return kernel.astype(np.float32)
    edges = np.linspace(0, size, native + 1)
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(size)[None, :]
    down = np.clip(np.minimum(pixels + 1, high) - np.maximum(pixels, low), 0, 1)
    down /= down.sum(1, keepdims=True)
    result: Field = (upsampler(size, native) @ down @ kernel).astype(np.float32)
    return result
