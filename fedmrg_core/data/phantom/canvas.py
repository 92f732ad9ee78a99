"""Soft shapes on a film: every drawing primitive is a smooth function of the film's coordinates, so that a film can be
rendered at any size. x runs from -1 (the patient's right) to 1, y from -1 (top) to 1; lengths are in the same unit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""One value per pixel, float32 [size, size]."""

Point = tuple[float, float]


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[Field, Field]:
    """Pixel centres (x, y) of a film of `size` pixels."""
    line = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1).astype(np.float32)
    x, y = np.meshgrid(line, line)
    return x, y


def step(value: Field, soft: float) -> Field:
    """0 where value is well below 0, 1 where well above, soft in between."""
    rise: Field = np.clip(value * np.float32(0.5 / soft) + np.float32(0.5), 0, 1)
    result: Field = rise * rise * (3 - 2 * rise)
    return result


def bump(distance: Field, width: float) -> Field:
    """A Gaussian ridge of the given half-width around distance 0."""
    scaled = distance * np.float32(1 / width)
    result: Field = np.exp(-(scaled * scaled))
    return result


def blob(x: Field, y: Field, centre: Point, radii: Point) -> Field:
    """A Gaussian blob."""
    u, v = (x - centre[0]) * np.float32(1 / radii[0]), (y - centre[1]) * np.float32(1 / radii[1])
    result: Field = np.exp(-(u * u + v * v))
    return result


def disc(x: Field, y: Field, centre: Point, radii: Point, soft: float) -> Field:
    """An ellipse with an edge `soft` wide."""
    u, v = (x - centre[0]) * np.float32(1 / radii[0]), (y - centre[1]) * np.float32(1 / radii[1])
    return step((1 - np.sqrt(u * u + v * v)) * np.float32(min(radii)), soft)


def stroke(x: Field, y: Field, points: Sequence[Point], width: float) -> Field:
    """A line through the points, `width` half-wide; never thinner than a pixel can show."""
    thin = max(width, 0.9 / x.shape[0])
    ends = np.asarray(points, dtype=np.float32)
    nearest = np.full(x.shape, np.float32(9.0))
    for (ax, ay), (bx, by) in zip(ends[:-1], ends[1:], strict=True):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + np.float32(1e-9)), 0, 1)
        px, py = x - ax - along * dx, y - ay - along * dy
        np.minimum(nearest, px * px + py * py, out=nearest)
    result: Field = np.exp(nearest * np.float32(-1 / (thin * thin)))
    return result


@lru_cache(maxsize=64)
def upsampler(size: int, knots: int) -> Field:
    """A [size, knots] matrix that interpolates `knots` values smoothly over `size` pixels."""
    position = (np.arange(size) + 0.5) / size * knots - 0.5
    distance = np.abs(position[:, None] - np.arange(knots)[None, :])
    weights = np.exp(-((distance / 0.7) ** 2))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


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
    return (upsampler(size, native) @ down @ kernel).astype(np.float32)
