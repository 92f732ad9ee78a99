"""Support devices: pacemaker, endotracheal tube, central venous catheter, nasogastric tube and chest tube."""

from __future__ import annotations

import numpy as np

from fedmrg_core.data.phantom.anatomy import SIDES, Chest
from fedmrg_core.data.phantom.canvas import Point, step, stroke
from fedmrg_core.data.phantom.findings import Finding


def pacemaker(chest: Chest, sign: float, jitter: float) -> None:
    """A metal box below the clavicle with a lead to the right ventricle."""
    x, y = 0.50 * sign, -0.50 + jitter
    box = step(0.095 - np.maximum(np.abs(chest.x - x), np.abs(chest.y - y) * np.float32(1.15)), 0.025)
    chest.add(box, 0.50)
    inwards = [(x - 0.08 * sign, y - 0.05), (0.30 * sign, -0.60), (0.12 * sign, -0.56)]
    path = [*inwards, (-0.08, -0.42), (-0.11, -0.05), (-0.06, 0.16), (0.04, 0.28), (0.20, 0.33)]
    chest.add(stroke(chest.x, chest.y, path, 0.012), 0.30)


def course(kind: str, sign: float, jitter: float) -> list[Point]:
    """The points that a tube or line runs through."""
    if kind == "ett":
        return [(0.0, -1.0), (0.005, -0.70), (0.01 + jitter * 0.2, -0.38 + jitter)]
    if kind == "cvc":
        return [(0.36 * sign, -0.92), (0.25 * sign, -0.74), (-0.03, -0.56), (-0.105, -0.36), (-0.115, -0.08 + jitter)]
    if kind == "ngt":
        return [(0.02, -1.0), (0.035, -0.3), (0.03, 0.35), (0.10, 0.60), (0.26, 0.70), (0.36 + jitter, 0.64)]
    return [(0.86 * sign, 0.42), (0.68 * sign, 0.22), (0.56 * sign, -0.12), (0.42 * sign, -0.48 + jitter)]


WIDTHS: dict[str, float] = {"ett": 0.024, "cvc": 0.015, "ngt": 0.015, "drain": 0.022}


def draw_device(chest: Chest, finding: Finding, amount: float, rng: np.random.Generator) -> None:
    """SplitDraw one device over everything else."""
    sign, jitter = SIDES.get(finding.side, 1.0), float(rng.uniform(-0.04, 0.04))
    if finding.kind == "pacemaker":
        pacemaker(chest, sign, jitter)
        return
    line = stroke(chest.x, chest.y, course(finding.kind, sign, jitter), WIDTHS[finding.kind])
    chest.add(line, amount * (0.30 if finding.kind in ("ett", "drain") else 0.27))
