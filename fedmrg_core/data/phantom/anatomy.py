"""The normal chest: body, lungs, heart, mediastinum, diaphragm, spine, ribs and clavicles, as absorption in x and y.

A `Chest` is what a film is built from: findings add to `density`, ask `lung` where the lungs are, and damp `markings`
where there are none. Values are in shares of full film scale, white = dense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedmrg_core.data.phantom.canvas import Field, blob, bump, disc, egg, grid, smooth_min, step, stroke, texture

SIDES: dict[str, float] = {"right": -1.0, "left": 1.0}
"""The sign of x on a frontal film: the patient's right is on the viewer's left."""

RIB_SPACING = 0.158
APEX = -0.80


@dataclass(frozen=True)
class Anatomy:
    """One patient's build on one film; 0 or 1 is average."""

    width: float
    heart: float
    mediastinum: float
    base: float
    ribs: float
    fat: float
    breast: float
    shift: tuple[float, float]
    zoom: float
    tilt: float


def draw_anatomy(patient: np.random.Generator, study: np.random.Generator, off_centre: float, zoom: float) -> Anatomy:
    """A build: the patient's own part is the same in all of the patient's studies, breath and position are not."""
    width, heart, ribs, fat = patient.normal(1.0, 0.035), patient.normal(0.0, 0.024), patient.random(), patient.random()
    mediastinum, breast = patient.normal(0.0, 0.014), float(patient.random() < 0.5) * patient.uniform(0.4, 1.0)
    shift = (float(study.normal(0, off_centre)), float(study.normal(0, off_centre)))
    base, tilt = study.normal(0.0, 0.035), study.normal(0.0, 0.018)
    return Anatomy(float(width), float(heart), float(mediastinum), float(base), float(ribs), float(fat), float(breast),
                   shift, zoom * float(study.normal(1.0, 0.015)), float(tilt))


@dataclass
class Chest:
    """A chest under construction. `outer`, `inner`, `apex`, `floor` are signed distances from a lung's walls, > 0
    inside; `markings` is the lung texture still to be added."""

    x: Field
    y: Field
    u: Field
    soft: float
    build: Anatomy
    outer: Field
    apex: Field
    floor: Field
    lungs: Field
    density: Field
    markings: Field
    bones: Field

    def lung(self, side: str) -> Field:
        """The mask of one lung, or of both."""
        return self.lungs if side == "both" else self.lungs * self.half(side)

    def half(self, side: str) -> Field:
        """1 on one side of the midline, 0 on the other."""
        result: Field = (self.x * SIDES[side] > 0).astype(np.float32)
        return result

    def add(self, field: Field, amount: float) -> None:
        """Add absorption."""
        self.density += field * np.float32(amount)

    def fill(self, mask: Field, level: float) -> None:
        """Raise what is less dense than `level` towards it: overlapping solid things do not add up without end."""
        self.density += mask * np.maximum(np.float32(level) - self.density, 0)

    def pixels(self, length: float) -> float:
        """A length, but at least about a pixel."""
        return max(length, 1.1 / len(self.x))


def coordinates(build: Anatomy, size: int) -> tuple[Field, Field]:
    """Film coordinates in the patient's frame: shifted, zoomed and turned by the build."""
    x, y = grid(size)
    scale = np.float32(1 / build.zoom)
    turn = np.float32(build.tilt)
    a, b = (x - build.shift[0]) * scale, (y - build.shift[1]) * scale
    return (a + b * turn) / np.float32(build.width), b - a * turn


def lung_walls(u: Field, x: Field, y: Field, base: float) -> tuple[Field, Field, Field, Field]:
    """Signed distances from the outer wall, inner wall, apex and diaphragm."""
    depth = np.clip((y - APEX) * np.float32(1 / 1.5), 0, 1)
    rest = 1 - depth
    outer = 0.33 + 0.41 * np.sqrt(1 - rest * rest * rest) - u
    inner = u - (0.30 - 0.185 * np.sqrt(np.minimum(depth * 2.2, 1)))
    lateral, medial = np.maximum(u - 0.36, 0), np.maximum(0.36 - u, 0)
    dome = 0.40 + base + 0.03 * np.sign(x) + 1.9 * lateral * lateral + 0.3 * medial * medial
    off = u - 0.33
    return outer, inner, y - APEX - 0.25 * off * off, dome - y


def rib_phase(u: Field, y: Field, offset: float) -> Field:
    """Counts ribs downwards: whole numbers are on a posterior rib's centre."""
    curl = np.maximum(u - 0.5, 0)
    result: Field = (y - 0.30 * u - 1.4 * curl * curl + 0.85) * np.float32(1 / RIB_SPACING) - np.float32(offset)
    return result


def draw_ribs(u: Field, y: Field, offset: float) -> Field:
    """Posterior ribs, and fainter anterior ones that slope the other way."""
    back = rib_phase(u, y, offset)
    gap = np.abs(back - np.rint(back))
    posterior = step(0.27 - gap, 0.16) * (0.75 + 0.9 * bump(gap - 0.24, 0.08))
    front = (y + 0.55 * (u - 0.2) + 0.62) * np.float32(1 / (RIB_SPACING * 1.25)) + offset
    anterior = step(0.22 - np.abs(front - np.rint(front)), 0.2) * step(u - 0.30, 0.15)
    span: Field = step(y + 0.86, 0.06) * step(0.74 - y, 0.3)
    result: Field = (posterior + 0.35 * anterior) * span
    return result


def clavicle(side: str) -> list[tuple[float, float]]:
    """The course of a clavicle, from the sternum outwards."""
    sign = SIDES[side]
    return [(0.09 * sign, -0.57), (0.30 * sign, -0.66), (0.52 * sign, -0.70), (0.78 * sign, -0.80)]


def draw_markings(rng: np.random.Generator, x: Field, u: Field, y: Field) -> Field:
    """Lung markings: vessels that fan out from the hila and fade, on a mottled ground."""
    size = x.shape[0]
    du, dy = u - 0.16, y + 0.02
    radius = np.sqrt(du * du + dy * dy)
    angle = np.arctan2(dy, du) + texture(rng, size, 10) * np.float32(0.22)
    fan = np.cos(angle * 11 + np.sign(x) * rng.random() * 6) + 0.7 * np.cos(angle * 19 + rng.random() * 6 + 7 * radius)
    vessels = np.maximum(fan - 0.35, 0) * np.exp(radius * np.float32(-2.9)) * step(radius - 0.10, 0.10)
    result: Field = vessels * np.float32(0.10) + texture(rng, size, 26) * np.float32(0.014)
    return result


def build_chest(build: Anatomy, rng: np.random.Generator, size: int) -> Chest:
    """A healthy chest but for the heart, which findings may enlarge and `finish_chest` draws."""
    x, y = coordinates(build, size)
    u: Field = np.abs(x)
    soft = max(0.018, 1.3 / size)
    outer, inner, apex, floor = lung_walls(u, x, y, build.base)
    lungs = step(np.minimum(smooth_min(outer, floor, 0.06), np.minimum(inner, apex)), soft * 1.3)
    shoulder = 0.24 + 0.74 * step(y + 0.86 - 0.1 * u, 0.14) - 0.05 * step(y - 0.1, 0.9)
    body = step(shoulder + 0.04 * build.fat - u, 0.05)
    density = body * np.float32(0.50 + 0.05 * build.fat) * (1 + 0.12 * step(u - 0.72, 0.2))
    density -= lungs * np.float32(0.40 + 0.03 * build.fat)
    density += body * step(-floor, soft * 2) * np.float32(0.20)
    chest = Chest(x, y, u, soft, build, outer, apex, floor, lungs, density, lungs * draw_markings(rng, x, u, y),
                  draw_ribs(u, y, build.ribs))
    draw_soft_tissue(chest)
    return chest


def draw_soft_tissue(chest: Chest) -> None:
    """Breasts, the stomach's air bubble and the shoulder blades."""
    x, y, u = chest.x, chest.y, chest.u
    if chest.build.breast > 0:
        chest.add(step(0.30 - np.sqrt((u - 0.46) ** 2 + (y - 0.28) ** 2), 0.12), 0.055 * chest.build.breast)
    chest.add(blob(x, y, (0.34, 0.62 + chest.build.base), (0.13, 0.07)), -0.20)
    chest.add(step(0.10 - np.abs(u - 0.74 + 0.22 * (y + 0.4)), 0.05) * step(0.28 - np.abs(y + 0.38), 0.1), 0.05)


def heart_shadow(chest: Chest, heart: float) -> Field:
    """The heart, `heart` half-widths wide, its apex pointing down and to the patient's left."""
    x, y, soft = chest.x, chest.y, chest.soft * 1.5
    lift = 0.5 * chest.build.base
    grown = heart - 0.30
    radii, turn = (heart + 0.025, 0.22 + 0.52 * grown), 0.50 - 0.5 * grown
    left = egg(x, y, (0.085 + 0.40 * grown, 0.19 + lift), radii, turn, soft)
    right = disc(x, y, (-0.045, 0.16 + lift), (0.115 + 0.42 * grown, 0.25), soft)
    outflow = disc(x, y, (0.075, -0.10 + lift), (0.095, 0.15), soft)
    result: Field = np.maximum(np.maximum(left, right), outflow)
    return result


def great_vessels(chest: Chest, width: float) -> Field:
    """The upper mediastinum, `width` half-wide at the aortic arch, with the aortic knob on the left."""
    x, y, u, soft = chest.x, chest.y, chest.u, chest.soft * 1.5
    wide = 0.085 + (width - 0.085) * bump(y + 0.34, 0.30) + 0.03 * step(y + 0.1, 0.3)
    column = step(wide - u, soft) * step(0.3 - y, 0.3)
    knob = disc(x, y, (0.075 + 0.6 * (width - 0.1), -0.33), (0.085, 0.10), soft)
    result: Field = np.maximum(column, knob)
    return result


def finish_chest(chest: Chest, heart: float, mediastinum: float, broken: dict[str, float]) -> Field:
    """Heart, great vessels, spine and bones over the lungs. `heart` and `mediastinum` are half-widths; `broken` maps a
    side to how far its clavicle's outer end has dropped. Returns the density, [size, size]."""
    x, y, u = chest.x, chest.y, chest.u
    hila = blob(u, y, (0.185, -0.06 + 0.5 * chest.build.base), (0.05, 0.12))
    chest.density += (hila * np.float32(0.13) + chest.markings) * chest.lungs
    chest.fill(np.maximum(heart_shadow(chest, heart), great_vessels(chest, mediastinum)) * step(y + 0.95, 0.1), 0.74)
    chest.add(bump(x, 0.075) * (0.85 + 0.15 * np.cos(y * np.float32(38))), 0.09)
    chest.add(bump(x, 0.035) * step(-0.30 - y, 0.12), -0.13)
    above = 0.3 + 0.7 * step(chest.floor + 0.05, 0.1)
    seen = step(chest.outer + 0.05, 0.05) * step(u - 0.07, 0.05) * above
    chest.add(chest.bones * seen, 0.075)
    for side in SIDES:
        draw_clavicle(chest, side, broken.get(side, 0.0))
    return chest.density


def draw_clavicle(chest: Chest, side: str, drop: float) -> None:
    """One clavicle; `drop` > 0 breaks it, with a gap and its outer end that much lower."""
    path, width = clavicle(side), 0.034
    if not drop:
        chest.add(stroke(chest.x, chest.y, path, width), 0.16)
        return
    x, y = path[1][0] * 1.25, path[1][1]
    chest.add(stroke(chest.x, chest.y, [path[0], path[1], (x, y - 0.03)], width), 0.22)
    end = (path[3][0], path[3][1] + drop)
    chest.add(stroke(chest.x, chest.y, [(x * 1.1, y + 0.03 + drop), end], width), 0.22)
