"""The public corpus: who is on its films, and reports that use every wording of the grammar in turn."""

from __future__ import annotations

from collections import Counter

import numpy as np

from fedmrg_core.data.phantom import grammar
from fedmrg_core.data.phantom.config import PhantomConfig
from fedmrg_core.data.phantom.findings import PATHOLOGIES, Finding
from fedmrg_core.data.phantom.population import Plan, draw_finding, scale
from fedmrg_core.data.phantom.reporting import RATES, Habits, Report, reading_order, write_report
from fedmrg_core.seeding import generator


class InTurn:
    """A `Pick` that uses every wording of a key in turn, from a place of its own: nothing is left out, and after n
    uses each of n wordings has been used once."""

    def __init__(self, seed: int) -> None:
        self.seed, self.uses = seed, Counter[str]()

    def __call__(self, key: str, count: int) -> int:
        turn, place = divmod(self.uses[key], count)
        self.uses[key] += 1
        order = generator("phantom public turn", self.seed, key, turn).permutation(count)
        return int(order[place])


def plan_public(config: PhantomConfig, count: int, seed: int) -> list[Plan]:
    """One study per patient. The number of findings varies from none to three; the first one goes through all
    conditions in turn, so that the rare ones are as common as the others."""
    rng = generator("phantom", seed, "public findings")
    plans = []
    for index in range(count):
        name = f"pub{seed}-p{index:05d}"
        plans.append(Plan(f"{name}-s1", name, "public", public_findings(config, index, rng)))
    return plans


def public_findings(config: PhantomConfig, index: int, rng: np.random.Generator) -> tuple[Finding, ...]:
    """The findings of the public corpus's study number `index`."""
    if index % 7 == 6:
        return ()
    turn = index // 7 * 6 + index % 7
    others = [PATHOLOGIES[i] for i in rng.permutation(len(PATHOLOGIES))[: int(rng.integers(0, 4))]]
    first = PATHOLOGIES[turn % len(PATHOLOGIES)]
    found: list[Finding] = []
    for condition in dict.fromkeys([first, *others]):
        finding = draw_finding(condition, config.case_mix, 0.3, rng)
        if finding.zone and any(f.zone == finding.zone for f in found):
            continue
        found.append(finding)
    return tuple(found)


def public_habits(config: PhantomConfig, rng: np.random.Generator) -> Habits:
    """Habits for one public report: anywhere in the ranges, all orders alike."""
    rates = {name: scale(getattr(config.text, name), rng.random(), 1.0) for name in RATES}
    level = scale(config.text.negatives, rng.random(), 1.0)
    salience = {c: 0.5 * config.text.salience[c] + 0.25 for c in PATHOLOGIES}
    order = reading_order(rng)
    return Habits(**rates, oxford=bool(rng.random() < 0.5), denial={c: level * s for c, s in salience.items()},
                  thoroughness=config.text.thoroughness, orders=(order, order), weight=_unused)


def _unused(key: str, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    raise AssertionError(f"public reports choose in turn, not by weight: {key} of {count}")


def public_report(config: PhantomConfig, plans: list[Plan], seed: int) -> list[tuple[Plan, Report]]:
    """The reports, in the order of the plans (whose place decides each wording)."""
    pick: grammar.Pick = InTurn(seed)
    written = []
    for plan in plans:
        rng = generator("phantom", seed, "public report", plan.study_id)
        written.append((plan, write_report(public_habits(config, rng), plan.findings, rng, pick)))
    return written
