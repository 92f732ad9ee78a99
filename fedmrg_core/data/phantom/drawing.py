"""How each condition looks: one function per condition that draws a `Finding` into a `Chest`, where it belongs.

`amount` is 1 for a definite finding and `film.faint` for one that is drawn faintly (and reported as uncertain)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fedmrg_core.data.phantom.anatomy import RIB_SPACING, SIDES, Chest, rib_phase
from fedmrg_core.data.phantom.canvas import Field, Point, blob, bump, disc, step, stroke, texture
from fedmrg_core.data.phantom.findings import Finding

Rng = np.random.Generator
ZONE_Y: dict[str, float] = {"upper": -0.46, "mid": -0.08, "lower": 0.28}


def each_side(finding: Finding) -> tuple[str, ...]:
    """The sides that a finding is on."""
    return ("left", "right") if finding.side == "both" else (finding.side,)


def centre_of(side: str, zone: str, rng: Rng, spread: float = 0.06) -> Point:
    """A place inside a lung zone, some way off its middle."""
    reach = {"upper": 0.38, "mid": 0.44, "lower": 0.46}[zone]
    return (SIDES[side] * (reach + float(rng.uniform(-1, 1)) * spread), ZONE_Y[zone] + float(rng.uniform(-1, 1)) * spread)


def opacity(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Lung Opacity: one broad, hazy, ill-defined patch."""
    for side in each_side(finding):
        radius = 0.15 + 0.10 * finding.size
        patch = blob(chest.x, chest.y, centre_of(side, finding.zone, rng), (radius, radius * 0.9))
        chest.add(patch * chest.lung(side), amount * (0.17 + 0.10 * finding.size))


def consolidation(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Consolidation: dense, even, filling a lobe up to a straight fissure."""
    x, y = centre_of(finding.side, finding.zone, rng, 0.03)
    reach = 0.13 + 0.11 * finding.size
    slope = 0.25 * SIDES[finding.side]
    band = step(reach - np.abs(chest.y - y - slope * (chest.x - x)), 0.03)
    width = step(0.14 + 0.16 * finding.size - np.abs(chest.x - x), 0.07)
    region = band * width * chest.lung(finding.side)
    chest.add(region, amount * 0.36)
    chest.markings *= 1 - np.float32(0.7 * amount) * region


def pneumonia(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Pneumonia: a cluster of fluffy patches, mottled, with dark bronchi between them."""
    for side in each_side(finding):
        x, y = centre_of(side, finding.zone, rng)
        total: Field = np.zeros_like(chest.x)
        for _ in range(5):
            dx, dy = rng.normal(0, 0.07 + 0.05 * finding.size, 2)
            total += blob(chest.x, chest.y, (x + float(dx), y + float(dy)), (0.065, 0.06))
        mottle = 1 + 0.45 * texture(rng, chest.x.shape[0], 22)
        chest.add(np.clip(total, 0, 1.3) * mottle * chest.lung(side), amount * (0.25 + 0.10 * finding.size))


def atelectasis(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Atelectasis: plate-like bands, more of them and thicker when severe."""
    for side in each_side(finding):
        x, y = centre_of(side, finding.zone, rng, 0.04)
        for index in range(1 + finding.tier):
            half, tilt = 0.16 + 0.06 * finding.size, float(rng.uniform(-0.05, 0.05)) - 0.03
            level = y + 0.085 * index - 0.03
            band = stroke(chest.x, chest.y, [(x - half, level + tilt), (x + half, level - tilt)], 0.022 + 0.008 * finding.size)
            chest.add(band * chest.lung(side), amount * 0.30)


def lesion(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Lung Lesion: a round, sharp-edged shadow."""
    radius = 0.05 + 0.075 * finding.size
    ball = disc(chest.x, chest.y, centre_of(finding.side, finding.zone, rng, 0.09), (radius, radius), 0.02)
    chest.add(ball * step(chest.outer, 0.04), amount * 0.36)


def edema(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Edema: haze around both hila, heavier vessels, short septal lines at the lateral bases."""
    strength = 0.5 + 0.7 * finding.size
    haze = blob(chest.u, chest.y, (0.30, 0.0), (0.26, 0.38)) * (1 + 0.3 * texture(rng, chest.x.shape[0], 16))
    chest.add(haze * chest.lungs, amount * strength * 0.20)
    lines = bump(np.sin(chest.y * np.float32(70)), 0.45) * step(0.20 - chest.outer, 0.08) * step(chest.y - 0.05, 0.2)
    chest.add(lines * chest.lungs, amount * strength * 0.12)
    chest.markings *= np.float32(1 + 1.3 * amount * strength)


def pneumothorax(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Pneumothorax: a thin pleural line; above and beside it black, without lung markings."""
    depth = 0.13 + 0.26 * finding.size
    edge = np.minimum(chest.outer - depth * 0.45, (chest.apex - depth) * 0.8)
    lung = chest.lung(finding.side)
    free = step(-edge, 0.02) * lung * step(0.25 + 0.3 * finding.size - chest.y, 0.15)
    line = bump(edge, chest.pixels(0.016)) * lung * step(0.25 + 0.3 * finding.size - chest.y, 0.15)
    chest.markings *= 1 - np.float32(min(1.0, 1.2 * amount)) * free
    chest.add(free, -0.11 * amount)
    chest.add(line, 0.20 * amount)


def effusion(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Pleural Effusion: fluid with a meniscus that climbs the lateral wall and hides the diaphragm."""
    level = 0.52 - 0.52 * finding.size + float(rng.uniform(-0.03, 0.03)) + chest.build.base
    rise = np.clip((chest.u - 0.34) * np.float32(1 / 0.38), 0, 1)
    surface = chest.y - level + (0.10 + 0.12 * finding.size) * (rise * rise - 0.4)
    for side in each_side(finding):
        fluid = step(surface, 0.05) * chest.lung(side)
        chest.add(fluid, amount * 0.46)
        chest.markings *= 1 - np.float32(0.8 * amount) * fluid


def pleural_other(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Pleural Other: a cap of thickened pleura over an apex, or a calcified plaque along the chest wall."""
    lung = chest.lung(finding.side)
    if finding.kind == "thickening":
        cap = step(0.09 + 0.09 * finding.size - np.minimum(chest.apex, chest.outer * 1.6), 0.03) * step(-0.35 - chest.y, 0.1)
        chest.add(cap * lung, amount * 0.30)
        return
    centre = float(rng.uniform(-0.1, 0.2))
    plaque = bump(chest.outer - 0.05, 0.028 + 0.014 * finding.size) * step(0.08 + 0.12 * finding.size - np.abs(chest.y - centre), 0.04)
    chest.add(plaque * lung, amount * 0.42)


def fracture(chest: Chest, finding: Finding, amount: float, rng: Rng) -> None:
    """Fracture of a rib: a dark gap, and the outer fragment out of line. (A broken clavicle is drawn with the bones.)"""
    if finding.kind != "rib":
        return
    u = 0.55 + float(rng.uniform(-0.06, 0.06))
    target = ZONE_Y[finding.zone] + 0.05
    phase = (target - 0.30 * u + 0.85) / RIB_SPACING - chest.build.ribs
    y = target + (round(phase) - phase) * RIB_SPACING
    x, drop = SIDES[finding.side] * u, 0.035 + 0.055 * finding.size
    here = disc(chest.x, chest.y, (x, y), (0.16, 0.085), 0.03)
    chest.bones *= 1 - here * np.float32(min(1.0, 1.3 * amount))
    sign = SIDES[finding.side]
    for inner, outer, dy in ((-0.17, -0.025, -drop / 2), (0.025, 0.17, drop)):
        ends = [(x + sign * inner, y + 0.3 * inner + dy), (x + sign * outer, y + 0.3 * outer + dy)]
        chest.add(stroke(chest.x, chest.y, ends, 0.032), amount * 0.24)
    chest.add(blob(chest.x, chest.y, (x, y), (0.025, 0.05)), -0.12 * amount)


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
"""Heart, mediastinum and clavicles are part of the anatomy (`heart_width` ..); devices lie over all (devices.py)."""


def heart_width(base: float, finding: Finding | None) -> float:
    """Half-width of the heart: about 0.30 healthy, 0.36 borderline (faint), up to 0.54 in severe cardiomegaly."""
    if finding is None:
        return 0.295 + base
    return (0.345 + 0.02 * finding.size if finding.faint else 0.38 + 0.15 * finding.size) + base


def mediastinum_width(base: float, finding: Finding | None) -> float:
    """Half-width of the upper mediastinum."""
    if finding is None:
        return 0.105 + base
    return (0.145 + 0.015 * finding.size if finding.faint else 0.175 + 0.085 * finding.size) + base


def clavicle_drop(finding: Finding, amount: float) -> float:
    """How far the outer end of a broken clavicle lies below its place."""
    return amount * (0.035 + 0.06 * finding.size)


__all__ = ["DRAW", "ZONE_Y", "clavicle_drop", "heart_width", "mediastinum_width", "rib_phase"]
