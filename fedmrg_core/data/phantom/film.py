"""From absorption to a film: a hospital's apparatus (contrast curve, noise, blur, detector, collimation, markers)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.phantom.anatomy import Chest, build_chest, draw_anatomy, finish_chest
from fedmrg_core.data.phantom.canvas import Field, grid, optics, step, stroke, texture
from fedmrg_core.data.phantom.config import FilmKnobs, ImageKnobs, PhantomConfig
from fedmrg_core.data.phantom.devices import draw_device
from fedmrg_core.data.phantom.drawing import DRAW, clavicle_drop, heart_width, mediastinum_width
from fedmrg_core.data.phantom.findings import Finding
from fedmrg_core.data.phantom.population import scale, strata
from fedmrg_core.seeding import generator

RENDERER = 7
"""Part of every film's identity: raise it when the drawing of a film changes."""


@dataclass(frozen=True)
class Apparatus:
    """One hospital's image characteristics; fields as in `ImageKnobs`, one value each, and its side marker: the
    letter, its height, and its distance from the film's edge and top."""

    gamma: float
    contrast: float
    offset: float
    noise: float
    grain: float
    blur: float
    native: float
    sharpen: float
    vignette: float
    collimation: float
    background: float
    zoom: float
    exposure: float
    off_centre: float
    marker: float
    letter: str
    letter_size: float
    letter_place: tuple[float, float]


GLYPHS: dict[str, list[tuple[float, float]]] = {
    "L": [(0.0, -1.0), (0.0, 1.0), (0.9, 1.0)],
    "R": [(0.0, 1.0), (0.0, -1.0), (0.7, -1.0), (0.95, -0.5), (0.7, 0.0), (0.0, 0.0), (0.4, 0.0), (1.0, 1.0)],
    "P": [(0.0, 1.0), (0.0, -1.0), (0.7, -1.0), (0.95, -0.45), (0.7, 0.1), (0.0, 0.1)],
}
"""Side and technique markers as strokes; L is on the patient's left, R on the right, P (portable) on the left."""


def _apparatus(values: dict[str, float], rng: np.random.Generator) -> Apparatus:
    letter = ("L", "R", "P")[rng.integers(3)]
    place = (float(rng.uniform(0.10, 0.20)), float(rng.uniform(0.12, 0.55)))
    return Apparatus(**values, letter=letter, letter_size=float(rng.uniform(0.05, 0.085)), letter_place=place)


def hospital_apparatus(config: PhantomConfig, seed: int, index: int) -> Apparatus:
    """The apparatus of one hospital of a draw."""
    count, strength = len(config.sizes), config.shift.image
    values = {
        knob.name: scale(getattr(config.image, knob.name), strata(count, seed, knob.name)[index], strength)
        for knob in fields(ImageKnobs)
    }
    return _apparatus(values, generator("phantom", seed, "marker", index if strength > 0 else 0))


def public_apparatus(config: PhantomConfig, rng: np.random.Generator) -> Apparatus:
    """An apparatus of no hospital: the middle of the ranges, or `shift.public` of the way to anywhere in them."""
    strength = config.shift.public
    values = {knob.name: scale(getattr(config.image, knob.name), rng.random(), strength) for knob in fields(ImageKnobs)}
    return _apparatus(values, rng)


def _first(findings: tuple[Finding, ...], condition: str) -> Finding | None:
    return next((finding for finding in findings if finding.condition == condition), None)


def draw_body(
    findings: tuple[Finding, ...], apparatus: Apparatus, knobs: FilmKnobs, patient: np.random.Generator,
    rng: np.random.Generator, size: int,
) -> Field:
    """The absorption of one chest with its findings, float32 [size, size]."""
    build = draw_anatomy(patient, rng, apparatus.off_centre, apparatus.zoom)
    chest = build_chest(build, rng, size)
    chest.markings *= np.float32(knobs.texture)
    broken: dict[str, float] = {}
    for finding in findings:
        amount = knobs.finding * (knobs.faint if finding.faint else 1.0)
        if finding.condition in DRAW:
            DRAW[finding.condition](chest, finding, amount, rng)
        if finding.kind == "clavicle":
            broken[finding.side] = clavicle_drop(finding, amount)
    heart = heart_width(build.heart, _first(findings, "Cardiomegaly"))
    mediastinum = mediastinum_width(build.mediastinum, _first(findings, "Enlarged Cardiomediastinum"))
    finish_chest(chest, heart, mediastinum, broken)
    _draw_devices(chest, findings, knobs, rng)
    return chest.density


def _draw_devices(chest: Chest, findings: tuple[Finding, ...], knobs: FilmKnobs, rng: np.random.Generator) -> None:
    for finding in findings:
        if finding.condition == "Support Devices":
            draw_device(chest, finding, knobs.finding * (knobs.faint if finding.faint else 1.0), rng)


def expose(density: Field, apparatus: Apparatus, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A film from absorption: optics, contrast curve, noise, marker and collimation. uint8 [size, size]."""
    size = density.shape[0]
    lens = optics(size, int(apparatus.native), round(apparatus.blur, 4))
    film: Field = lens @ density @ lens.T
    soft = optics(size, size, 0.05)
    film = film + np.float32(apparatus.sharpen) * (film - soft @ film @ soft.T)
    film = np.clip(film * np.float32(1.02 + rng.normal(0, apparatus.exposure)), 0.0, 1.15) * np.float32(1 / 1.15)
    film = film ** np.float32(apparatus.gamma)
    film = (film - np.float32(0.5)) * np.float32(apparatus.contrast) + np.float32(0.5 + apparatus.offset)
    x, y = grid(size)
    film = film * (1 - np.float32(apparatus.vignette) * (x * x + y * y) * np.float32(0.5))
    film = np.float32(apparatus.background) + np.float32(1 - apparatus.background) * film
    film = _mark(film, apparatus, rng, x, y)
    opening = _shutters(apparatus, rng, x, y)
    film = film + np.float32(apparatus.noise) * _noise(apparatus.grain, rng, size)  # last: its length depends on size
    result: NDArray[np.uint8] = np.rint(np.clip(film * opening, 0, 1) * 255).astype(np.uint8)
    return result


def _noise(grain: float, rng: np.random.Generator, size: int) -> Field:
    white = rng.standard_normal((size, size), dtype=np.float32)
    result: Field = np.float32(1 - grain) * white + np.float32(grain) * texture(rng, size, 40)
    return result


def _mark(film: Field, apparatus: Apparatus, rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Burn in the side marker, in most studies or few, as the hospital does."""
    if rng.random() >= apparatus.marker:
        return film
    side = -1.0 if apparatus.letter == "R" else 1.0
    left = side * (0.98 - apparatus.letter_place[0]) + float(rng.normal(0, 0.015))
    top = -1 + apparatus.letter_place[1] + float(rng.normal(0, 0.02))
    points = [(left + a * apparatus.letter_size, top + b * apparatus.letter_size) for a, b in GLYPHS[apparatus.letter]]
    glyph = stroke(x, y, points, 0.016)
    result: Field = film + (np.float32(0.97) - film) * glyph
    return result


def _shutters(apparatus: Apparatus, rng: np.random.Generator, x: Field, y: Field) -> Field:
    left, right, top, bottom = (apparatus.collimation * rng.uniform(0.15, 1.0, 4)).tolist()
    inside = np.minimum(np.minimum(x + 1 - left, 1 - right - x), np.minimum(y + 1 - top, 1 - bottom - y))
    return step(inside + 0.02, 0.02)
