"""A hospital's reporting habits, and the reports written by them. A habit is a distribution over wordings, section
orders and denials, never one template, so that no constant report imitates a hospital."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.phantom import grammar
from fedmrg_core.data.phantom.config import PhantomConfig
from fedmrg_core.data.phantom.findings import AIRSPACE, PATHOLOGIES, SECTIONS, Finding, merge_states
from fedmrg_core.data.phantom.grammar import Sentence
from fedmrg_core.data.phantom.population import scale, strata
from fedmrg_core.seeding import generator
from fedmrg_core.types import Labels, LabelState

SECTION_NAMES: tuple[str, ...] = ("devices", "lungs", "pleura", "heart", "bones")


@dataclass(frozen=True)
class Habits:
    """One hospital's reporting style. `denial` holds P(denied | absent) by condition; `orders` two reading orders (the
    rank of each section, and of each condition in it), the first used with share `order_mix`; `weight(key, n)` the
    cumulative weights over n wordings."""

    telegraphic: float
    headings: float
    join: float
    technique: float
    filler: float
    impression: float
    omit: float
    order_mix: float
    oxford: bool
    denial: dict[str, float]
    thoroughness: float
    orders: tuple[dict[str, int], dict[str, int]]
    weight: Callable[[str, int], NDArray[np.float64]] = field(compare=False)


@dataclass(frozen=True)
class Report:
    """A written report: its text, the 14 states that it states, and its sentences."""

    text: str
    labels: Labels
    sentences: tuple[Sentence, ...]


RATES = ("telegraphic", "headings", "join", "technique", "filler", "impression", "omit", "order_mix")


def wording_weights(name: str, alpha: float, strength: float) -> Callable[[str, int], NDArray[np.float64]]:
    """The cumulative weights over the wordings of each key, a function of `name` alone; strength 0 = uniform."""
    known: dict[str, NDArray[np.float64]] = {}

    def weight(key: str, count: int) -> NDArray[np.float64]:
        if key not in known:
            own = generator("phantom", "wording", name, key).dirichlet(np.full(count, alpha))
            known[key] = np.cumsum(strength * own + (1 - strength) / count)
        return known[key]

    return weight


def hospital_habits(config: PhantomConfig, seed: int, index: int) -> Habits:
    """The habits of one hospital of a draw."""
    knobs, strength, count = config.text, config.shift.text, len(config.sizes)
    rates = {n: scale(getattr(knobs, n), strata(count, seed, n)[index], strength) for n in RATES}
    rng = generator("phantom", seed, "habits", index if strength > 0 else 0)  # what cannot be scaled: all or nothing
    level = scale(knobs.negatives, strata(count, seed, "negatives")[index], strength)
    own = {c: level * knobs.salience[c] * np.exp(strength * rng.normal(0.0, 0.5)) for c in PATHOLOGIES}
    denial = {c: float(np.clip(1.25 * p, 0.01, 0.8)) for c, p in own.items()}
    weight = wording_weights(f"{seed}:{index}", knobs.habit, strength)
    oxford = bool(rng.random() < 0.5)
    return Habits(**rates, oxford=oxford, denial=denial, thoroughness=knobs.thoroughness,
                  orders=(reading_order(rng), reading_order(rng)), weight=weight)


def reading_order(rng: np.random.Generator) -> dict[str, int]:
    """A rank for every section and, within it, for every condition."""
    names = [*SECTION_NAMES, *PATHOLOGIES]
    return dict(zip(names, rng.permutation(len(names)).tolist(), strict=True))


def picker(habits: Habits, rng: np.random.Generator) -> grammar.Pick:
    """Choose wordings at random by a hospital's weights."""

    def pick(key: str, count: int) -> int:
        return min(int(np.searchsorted(habits.weight(key, count), rng.random(), side="right")), count - 1)

    return pick


def denied(habits: Habits, drawn: set[str], rng: np.random.Generator) -> list[str]:
    """The absent conditions that this report denies: more in some studies of a hospital than in others."""
    mood = float(np.exp(rng.normal(0.0, habits.thoroughness)))
    chosen = [c for c in PATHOLOGIES if rng.random() < min(0.95, habits.denial[c] * mood)]
    return [condition for condition in chosen if condition not in drawn]


def denial_sentences(
    habits: Habits, conditions: list[str], pick: grammar.Pick, rng: np.random.Generator
) -> list[Sentence]:
    """Denials, some sharing a sentence with others of their section (those of the heart never do)."""
    groups: list[list[str]] = []
    for condition in sorted(conditions, key=habits.orders[0].__getitem__):
        section = SECTIONS.get(condition, "lungs")
        open_groups = [g for g in groups if SECTIONS.get(g[0], "lungs") == section and len(g) < 3]
        if section != "heart" and open_groups and rng.random() < habits.join:
            open_groups[0].append(condition)
        else:
            groups.append([condition])
    return [grammar.say_absent(g, bool(rng.random() < habits.telegraphic), habits.oxford, pick) for g in groups]


def silent_sentences(habits: Habits, drawn: set[str], pick: grammar.Pick, rng: np.random.Generator) -> list[Sentence]:
    """Sentences that state nothing, each only where the film bears it out."""
    allowed = [("volume", "lungs"), ("trachea", "heart")]
    if "Fracture" not in drawn:
        allowed.append(("bones", "bones"))
    if not drawn & {*AIRSPACE, "Edema", "Pneumothorax"}:
        allowed.append(("clear", "lungs"))
    return [grammar.say_filler(name, section, pick) for name, section in allowed if rng.random() < habits.filler]


def mentioned(habits: Habits, findings: tuple[Finding, ...], rng: np.random.Generator) -> list[Finding]:
    """The drawn findings that the report speaks of: nearly all, and always one where there is one."""
    kept = [finding for finding in findings if rng.random() >= habits.omit]
    return kept or list(findings[:1])


def write_report(
    habits: Habits, findings: tuple[Finding, ...], rng: np.random.Generator, pick: grammar.Pick | None = None
) -> Report:
    """The report of a film by a hospital's habits."""
    pick = pick or picker(habits, rng)
    drawn = {finding.condition for finding in findings}
    stated = mentioned(habits, findings, rng)
    body = [grammar.say_finding(f, bool(rng.random() < habits.telegraphic), pick) for f in stated]
    body += denial_sentences(habits, denied(habits, drawn, rng), pick, rng)
    body += silent_sentences(habits, drawn, pick, rng)
    if not body:
        body = [grammar.say_absent(["Pleural Effusion"], False, False, pick)]
    sentences = arrange(habits, body, rng)
    headings = bool(rng.random() < habits.headings)
    if rng.random() < habits.technique:
        sentences.insert(0, grammar.say_filler("technique", "", pick))
    if rng.random() < habits.impression:
        sentences.append(impression(stated, drawn, pick))
    return finish(sentences, headings, pick)


def arrange(habits: Habits, body: list[Sentence], rng: np.random.Generator) -> list[Sentence]:
    """Sentences section by section, in this order of sections; in each first findings, then denials, then fillers."""
    order = habits.orders[0 if rng.random() < habits.order_mix else 1]

    def rank(sentence: Sentence) -> tuple[int, int, int]:
        if not sentence.states:
            return order[sentence.section], 2, 0
        condition, state = sentence.states[0]
        return order[sentence.section], int(state == LabelState.NEGATIVE), order[condition]

    return sorted(body, key=rank)


def impression(stated: list[Finding], drawn: set[str], pick: grammar.Pick) -> Sentence:
    """The main finding once more, or a sentence for a normal film."""
    if not drawn:
        return grammar.say_filler("normal", "impression", pick)
    main = max(stated, key=lambda finding: (not finding.faint, finding.size))
    return replace(grammar.say_finding(main, True, pick), section="impression")


def finish(sentences: list[Sentence], headings: bool, pick: grammar.Pick) -> Report:
    """Text, with a heading before each section where the report has headings, and labels from the sentences."""
    words: list[str] = []
    last, case = "", pick("headings", 2)
    for sentence in sentences:
        names = grammar.phrases()["headings"].get(sentence.section, [])
        if names and sentence.section != last and (headings or sentence.section == "impression"):
            words.append(names[case])
        words.append(sentence.text)
        last = sentence.section
    labels = merge_states((pair for s in sentences for pair in s.states), LabelState.BLANK, LabelState.BLANK)
    return Report(" ".join(words), labels, tuple(sentences))
