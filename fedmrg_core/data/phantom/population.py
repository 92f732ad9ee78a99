"""Who is filmed: hospitals, their case mix, patients with one or several studies, and what each film will show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.phantom.config import CaseMixKnobs, PhantomConfig
from fedmrg_core.data.phantom.findings import (
    AIRSPACE,
    BILATERAL,
    FAINT_DEVICES,
    KINDS,
    MIDLINE,
    PATHOLOGIES,
    ZONES,
    Finding,
)
from fedmrg_core.seeding import generator


@dataclass(frozen=True)
class CaseMix:
    """One hospital's patients: P(kind of patient) and the share of findings drawn faintly."""

    kinds: tuple[str, ...]
    shares: NDArray[np.float64]
    faint: float


@dataclass(frozen=True)
class Plan:
    """One study before it is rendered: what will be drawn."""

    study_id: str
    patient_id: str
    hospital: str
    findings: tuple[Finding, ...]


def strata(count: int, seed: int, name: str) -> NDArray[np.float64]:
    """One value in [0, 1) per hospital, each in its own stratum, so that no two hospitals are alike by chance."""
    rng = generator("phantom", seed, "strata", name)
    values: NDArray[np.float64] = (rng.permutation(count) + rng.uniform(0.15, 0.85, count)) / count
    return values


def scale(pair: tuple[float, float], position: float, strength: float) -> float:
    """The point of a range at `position`; `strength` 0 pulls every hospital to the middle."""
    low, high = pair
    return low + (high - low) * (0.5 + (position - 0.5) * strength)


def case_mix(config: PhantomConfig, seed: int, hospital: int) -> CaseMix:
    """The case mix of one hospital of a draw."""
    knobs, strength = config.case_mix, config.shift.prevalence
    base = np.array(list(knobs.weights.values()), dtype=np.float64)
    base /= base.sum()
    own = generator("phantom", seed, "case mix", hospital).dirichlet(knobs.concentration * base)
    faint = scale(knobs.faint, strata(len(config.sizes), seed, "faint")[hospital], strength)
    return CaseMix(tuple(knobs.weights), (1 - strength) * base + strength * own, faint)


def draw_finding(condition: str, knobs: CaseMixKnobs, faint: float, rng: np.random.Generator) -> Finding:
    """One finding with its side, zone, size, form and faintness."""
    kinds = KINDS.get(condition, ("",))
    kind = kinds[rng.integers(len(kinds))]
    side = "" if condition in MIDLINE or kind in ("ett", "ngt") else ("left", "right")[rng.integers(2)]
    if condition in BILATERAL and rng.random() < knobs.both_sides:
        side = "both"
    zone = ZONES[rng.choice(3, p=(0.27, 0.28, 0.45))] if condition in (*AIRSPACE, "Fracture") else ""
    if condition == "Atelectasis":
        zone = "lower" if side == "both" or rng.random() < 0.7 else "mid"
    can_be_faint = condition != "Support Devices" or kind in FAINT_DEVICES
    is_faint = bool(rng.random() < faint) and can_be_faint
    return Finding(condition, side, zone, float(rng.random()), is_faint, kind)


def _place(finding: Finding, taken: set[tuple[str, str]]) -> bool:
    sides = ("left", "right") if finding.side == "both" else (finding.side,)
    cells = {(side, finding.zone) for side in sides}
    if finding.condition not in AIRSPACE:
        return True
    if cells & taken:
        return False
    taken |= cells
    return True


def draw_findings(mix: CaseMix, knobs: CaseMixKnobs, rng: np.random.Generator) -> tuple[Finding, ...]:
    """The findings of one film. No two lung findings share a side and zone: one could not tell them apart."""
    profile = knobs.profiles[mix.kinds[rng.choice(len(mix.kinds), p=mix.shares)]]
    background = knobs.profiles["background"]
    wanted = [c for c in PATHOLOGIES if rng.random() < profile.get(c, background)]
    order = rng.permutation(len(wanted))[: knobs.most_findings]
    taken: set[tuple[str, str]] = set()
    found = []
    for condition in (wanted[i] for i in sorted(order)):
        for _ in range(6):
            finding = draw_finding(condition, knobs, mix.faint, rng)
            if _place(finding, taken):
                found.append(finding)
                break
    return tuple(found)


def plan_hospital(config: PhantomConfig, seed: int, index: int) -> list[Plan]:
    """The studies of one hospital: exactly `sizes[index]`, dealt to patients with one to four studies each."""
    hospital, count = config.hospitals[index], config.sizes[index]
    mix = case_mix(config, seed, index)
    rng = generator("phantom", seed, "patients", hospital)
    shares = np.array(config.studies_per_patient) / sum(config.studies_per_patient)
    plans: list[Plan] = []
    patient = 0
    while len(plans) < count:
        patient += 1
        for visit in range(min(1 + int(rng.choice(len(shares), p=shares)), count - len(plans))):
            name = f"d{seed}-{hospital}-p{patient:04d}"
            study = f"{name}-s{visit + 1}"
            findings = draw_findings(mix, config.case_mix, generator("phantom", seed, "findings", study))
            plans.append(Plan(study, name, hospital, findings))
    return plans
