"""How each condition looks: one function per condition that draws a `Finding` into a `Chest`, where it belongs.

`amount` is 1 for a definite finding and `film.faint` for one that is drawn faintly (and reported as uncertain)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fedmrg_core.data.phantom.anatomy import RIB_SPACING, SIDES, Chest
from fedmrg_core.data.phantom.canvas import Field, Point, blob, bump, disc, smooth_min, step, stroke, texture
from fedmrg_core.data.phantom.findings import Finding

Rng = np.random.Generator
ZONE_Y: dict[str, float] = {"upper": -0.46, "mid": -0.08, "lower": 0.28}


def each_side(finding: Finding) -> tuple[str, ...]:
    """The sides that a finding is on."""
    return ("left", "right") if finding.side == "both" else (finding.side,)


def centre_of(side: str, zone: str, rng: Rng, spread: float = 0.06) -> Point:
    """A place inside a lung zone, some way off its middle."""
    reach = {"upper": 0.38, "mid": 0.44, "lower": 0.46}[zone]
    dx, dy = rng.uniform(-spread, spread, 2).tolist()
    return (SIDES[side] * (reach + dx), ZONE_Y[zone] + dy)


def opacity(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Lung Opacity: one broad, hazy, ill-defined patch."""
    for side in each_side(finding):
        radius = 0.15 + 0.10 * finding.size
        patch = blob(chest.x, chest.y, centre_of(side, finding.zone, rng), (radius, radius * 0.9))
        chest.add(patch * chest.lung(side), amount * (0.17 + 0.10 * finding.size))


def consolidation(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Consolidation: dense, reaching the chest wall, cut off straight by a fissure, fading on the other sides."""
    x, y = centre_of(finding.side, finding.zone, rng, 0.03)
    reach, slope = 0.12 + 0.11 * finding.size, 0.28 * float(rng.uniform(0.4, 1.3))
    down = -1.0 if finding.zone == "upper" else 1.0
    from_fissure = (chest.y - y + slope * (chest.u - abs(x))) * down + reach
    region = step(from_fissure, 0.025) * step(2 * reach - from_fissure, 0.10)
    region *= step(chest.u - abs(x) + 0.13 + 0.10 * finding.size, 0.09) * chest.lung(finding.side)
    region *= 1 + 0.10 * texture(rng, chest.x.shape[0], 18)
    chest.fill(region * np.float32(amount), 0.60)
    chest.markings *= 1 - np.float32(0.6 * amount) * region


def pneumonia(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Pneumonia: a cluster of fluffy patches, mottled, with dark bronchi between them."""
    for side in each_side(finding):
        x, y = centre_of(side, finding.zone, rng)
        total: Field = np.zeros_like(chest.x)
        for _ in range(5):
            dx, dy = rng.normal(0, 0.07 + 0.05 * finding.size, 2)
            total += blob(chest.x, chest.y, (x + float(dx), y + float(dy)), (0.075, 0.065))
        mottle = np.clip(1 + 0.35 * texture(rng, chest.x.shape[0], 22), 0.3, 1.4)
        patches = np.minimum(total, 1) * mottle * chest.lung(side)
        chest.fill(patches * np.float32(amount * (0.65 + 0.25 * finding.size)), 0.58)


def atelectasis(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Atelectasis: plate-like bands, more of them and thicker when severe."""
    for side in each_side(finding):
        x, y = centre_of(side, finding.zone, rng, 0.04)
        for index in range(1 + finding.tier):
            half, tilt = 0.12 + 0.06 * finding.size, float(rng.uniform(-0.03, 0.05)) * SIDES[side]
            level, shift = y + 0.085 * index - 0.03, float(rng.uniform(-0.04, 0.04))
            ends = [(x - half + shift, level - tilt), (x + half + shift, level + tilt)]
            chest.add(stroke(chest.x, chest.y, ends, 0.020 + 0.008 * finding.size) * chest.lung(side), amount * 0.28)


def lesion(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Lung Lesion: a round, sharp-edged shadow."""
    radius = 0.05 + 0.075 * finding.size
    ball = disc(chest.x, chest.y, centre_of(finding.side, finding.zone, rng, 0.09), (radius, radius), 0.02)
    chest.add(ball * step(chest.outer, 0.04), amount * 0.30)


def edema(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Edema: haze around both hila, heavier vessels, short septal lines at the lateral bases."""
    strength = 0.5 + 0.7 * finding.size
    haze = blob(chest.u, chest.y, (0.36, 0.02), (0.27, 0.42)) * (1 + 0.25 * texture(rng, chest.x.shape[0], 16))
    chest.add(haze * chest.lungs, amount * strength * 0.19)
    lines = bump(np.sin(chest.y * np.float32(70)), 0.45) * step(0.20 - chest.outer, 0.08) * step(chest.y - 0.05, 0.2)
    chest.add(lines * chest.lungs, amount * strength * 0.12)
    chest.markings *= np.float32(1 + 0.8 * amount * strength)


def pneumothorax(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Pneumothorax: a thin pleural line; above and beside it black, without lung markings."""
    depth = 0.13 + 0.26 * finding.size
    edge = smooth_min(chest.outer - depth * 0.45, (chest.apex - depth) * 0.8)
    reach = chest.lung(finding.side) * step(0.25 + 0.3 * finding.size - chest.y, 0.15)
    free = step(-edge, 0.02) * reach
    line = bump(edge, chest.pixels(0.016)) * reach
    chest.markings *= 1 - np.float32(min(1.0, 1.2 * amount)) * free
    chest.add(free, -0.11 * amount)
    chest.add(line, 0.18 * amount)


def effusion(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Pleural Effusion: fluid with a meniscus that climbs the lateral wall and hides the diaphragm."""
    level = 0.52 - 0.52 * finding.size + float(rng.uniform(-0.03, 0.03)) + chest.build.base
    rise = np.clip((chest.u - 0.34) * np.float32(1 / 0.38), 0, 1)
    surface = chest.y - level + (0.10 + 0.12 * finding.size) * (rise * rise - 0.4)
    for side in each_side(finding):
        fluid = step(surface, 0.05) * chest.lung(side)
        chest.fill(fluid * np.float32(amount), 0.66)
        chest.markings *= 1 - np.float32(0.8 * amount) * fluid


def pleural_other(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Pleural Other: a cap of thickened pleura over an apex, or a calcified plaque along the chest wall."""
    lung = chest.lung(finding.side)
    if finding.kind == "thickening":
        wall = smooth_min(chest.apex, chest.outer * 1.6)
        cap = step(0.09 + 0.09 * finding.size - wall, 0.03) * step(-0.35 - chest.y, 0.1)
        chest.add(cap * lung, amount * 0.28)
        return
    centre = float(rng.uniform(-0.1, 0.2))
    length = step(0.08 + 0.12 * finding.size - np.abs(chest.y - centre), 0.04)
    chest.add(bump(chest.outer - 0.05, 0.028 + 0.014 * finding.size) * length * lung, amount * 0.42)


def fracture(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Fracture of a rib: a dark gap, the outer fragment out of line. (A broken clavicle is drawn with the bones.)"""
    if finding.kind != "rib":
        return
    u = 0.55 + float(rng.uniform(-0.06, 0.06))
    target = ZONE_Y[finding.zone] + 0.05
    phase = (target - 0.30 * u + 0.85) / RIB_SPACING - chest.build.ribs
    y = target + (round(phase) - phase) * RIB_SPACING
    x, drop = SIDES[finding.side] * u, 0.045 + 0.060 * finding.size
    here = disc(chest.x, chest.y, (x, y), (0.16, 0.085), 0.03)
    chest.bones *= 1 - here * np.float32(min(1.0, 1.3 * amount))
    sign = SIDES[finding.side]
    for inner, outer, dy in ((-0.17, -0.025, -drop / 2), (0.025, 0.17, drop)):
        ends = [(x + sign * inner, y + 0.3 * inner + dy), (x + sign * outer, y + 0.3 * outer + dy)]
        chest.add(stroke(chest.x, chest.y, ends, 0.036), amount * 0.38)
    chest.add(blob(chest.x, chest.y, (x, y), (0.028, 0.05)), -0.22 * amount)


DRAW: dict[str, Callable[[Chest, Finding, float, Rng], None]] = {
    "Lung Opacity": opacity,
    "Lung Lesion": lesion,
    "Edema": edema,
    "Consolidation": consolidation,
    "Pneumonia": pneumonia,
    "Atelectasis": atelectasis,
    "Pneumothorax": pneumothorax,
    "Pleural Effusion": effusion,
    "Pleural Other": pleural_other,
    "Fracture": fracture,
}
"""Heart, mediastinum and clavicles are part of the anatomy (`heart_width` ..); devices are drawn last (devices.py)."""


def heart_width(base: float, finding: Finding | None) -> float:
    """Half-width of the heart: about 0.30 healthy, 0.35 borderline (faint), up to 0.53 in severe cardiomegaly."""
    if finding is None:
        return 0.295 + base
    return (0.345 + 0.02 * finding.size if finding.faint else 0.38 + 0.15 * finding.size) + base


def mediastinum_width(base: float, finding: Finding | None) -> float:
    """Half-width of the upper mediastinum."""
    if finding is None:
        return 0.12 + base
    return (0.155 + 0.015 * finding.size if finding.faint else 0.185 + 0.105 * finding.size) + base


def clavicle_drop(finding: Finding, amount: float) -> float:
    """How far the outer end of a broken clavicle is below its usual position."""
    return amount * (0.05 + 0.07 * finding.size)
