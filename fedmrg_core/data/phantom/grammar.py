"""The phantom's radiology English: phrases.toml turned into sentences that each state known (condition, state) pairs.

`all_phrases()` lists every wording with what it states, so that a labeler can be tested against it; try
`python -c "from fedmrg_core.data.phantom import grammar; print(len(grammar.all_phrases()))"`.
"""

from __future__ import annotations

import itertools
import re
import string
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fedmrg_core.data.phantom.findings import SECTIONS, ZONES, Finding
from fedmrg_core.types import LabelState

Pick = Callable[[str, int], int]
"""Chooses one of n wordings: `pick(key, n)`; a hospital's habits are a `Pick`."""

States = tuple[tuple[str, LabelState], ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a report: its text, what it states, and the section it belongs to."""

    text: str
    states: States = ()
    section: str = "lungs"


@cache
def phrases() -> dict[str, Any]:
    """The parsed phrases.toml."""
    return tomllib.loads(files(__package__).joinpath("phrases.toml").read_text(encoding="utf-8"))


@cache
def groups() -> dict[str, list[str]]:
    """"<group>.<register>" -> templates, for example "Edema.positive.short"."""
    return {f"{name}.{form}": texts for name, forms in phrases()["group"].items() for form, texts in forms.items()}


@cache
def slots_of(template: str) -> tuple[str, ...]:
    """The slot names in a template, in order of appearance."""
    return tuple(name for _, name, _, _ in string.Formatter().parse(template) if name)


def tidy(text: str) -> str:
    """Capitalise the first letter and mend the article before a vowel."""
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return text[0].upper() + text[1:]


def slot_options(slot: str, finding: Finding) -> list[str]:
    """The wordings that a slot may take for a finding; empty where the finding has none (midline: no side)."""
    table = phrases()["slots"]
    if slot == "side":
        return [finding.side] if finding.side in ("left", "right") else []
    if slot == "place":
        source = table["place2" if finding.side == "both" else "place"].get(finding.zone, [])
        return [text.format(side=finding.side) for text in source]
    if slot == "zone":
        return list(table["zone"].get(finding.zone, []))
    return list(table[slot][finding.tier])


def slot_key(slot: str, finding: Finding) -> str:
    """The name of a hospital's habit for a slot: one for all sides and zones, one per severity tier."""
    return f"slot.{slot}" if slot in ("place", "zone", "side") else f"slot.{slot}.{finding.tier}"


def templates_for(finding: Finding, short: bool) -> tuple[str, list[str]]:
    """The key and the templates for a finding in one register."""
    key = f"{finding.group}.{'short' if short else 'full'}{'2' if finding.side == 'both' else ''}"
    return key, groups()[key]


def say_finding(finding: Finding, short: bool, pick: Pick) -> Sentence:
    """A sentence that states a drawn finding."""
    key, templates = templates_for(finding, short)
    template = templates[pick(key, len(templates))]
    values = {}
    for slot in slots_of(template):
        options = slot_options(slot, finding)
        values[slot] = options[pick(slot_key(slot, finding), len(options))]
    section = SECTIONS.get(finding.condition, "lungs")
    return Sentence(tidy(template.format(**values)), ((finding.condition, finding.state),), section)


def join_terms(terms: Sequence[str], oxford: bool) -> str:
    """"a", "a or b", "a, b or c" (with `oxford`: "a, b, or c")."""
    if len(terms) < 3:
        return " or ".join(terms)
    return ", ".join(terms[:-1]) + (", or " if oxford else " or ") + terms[-1]


def say_absent(conditions: Sequence[str], short: bool, oxford: bool, pick: Pick) -> Sentence:
    """One sentence that denies one or more conditions of a section."""
    form = "short" if short else "full"
    section = SECTIONS.get(conditions[0], "lungs")
    states = tuple((condition, LabelState.NEGATIVE) for condition in conditions)
    if section == "heart":
        key = f"{conditions[0]}.negative.{form}"
        templates = groups()[key]
        return Sentence(tidy(templates[pick(key, len(templates))]), states, section)
    table = phrases()["negative"]
    terms = [table["terms"][c][pick(f"term.{c}", len(table["terms"][c]))] for c in conditions]
    frames = table["frames"][form]
    frame = frames[pick(f"frame.{form}", len(frames))]
    return Sentence(tidy(frame.format(list=join_terms(terms, oxford))), states, section)


def say_filler(name: str, section: str, pick: Pick) -> Sentence:
    """A sentence that states no condition."""
    options = phrases()["filler"][name]
    return Sentence(options[pick(f"filler.{name}", len(options))], (), section)


def sides_of(condition: str, template_key: str) -> tuple[str, ...]:
    """The sides for which a wording may be used."""
    return ("both",) if template_key.endswith("2") else ("left", "right")


def example_findings(group: str, form: str) -> Iterator[Finding]:
    """One finding for every side, zone and severity that a wording may be used for."""
    name, state = group.rsplit(".", 1)
    condition, _, kind = name.partition("/")
    for side, zone, size in itertools.product(sides_of(condition, form), ZONES, (0.1, 0.5, 0.9)):
        yield Finding(condition, side, zone, size, state == "uncertain", kind)


def expand(template: str, finding: Finding) -> Iterator[str]:
    """Every text that a template can become for a finding."""
    names = slots_of(template)
    for values in itertools.product(*(slot_options(name, finding) for name in names)):
        yield tidy(template.format(**dict(zip(names, values, strict=True))))


def stated_phrases() -> Iterator[tuple[str, str, LabelState]]:
    """Every positive and uncertain sentence, and the heart's own negatives."""
    for key, templates in groups().items():
        group, form = key.rsplit(".", 1)
        name, state = group.rsplit(".", 1)
        condition = name.partition("/")[0]
        for template in templates:
            for finding in example_findings(group, form):
                for text in expand(template, finding):
                    yield text, condition, LabelState[state.upper()]


def denied_phrases() -> Iterator[tuple[str, str, LabelState]]:
    """Every negative: each term alone in each frame, and joined with the terms of its section in twos and threes."""
    table = phrases()["negative"]
    frames = [frame for form in table["frames"].values() for frame in form]
    terms: dict[str, list[str]] = table["terms"]
    sections = [[c for c in terms if SECTIONS.get(c, "lungs") == s] for s in ("lungs", "pleura", "bones", "devices")]
    for members in sections:
        for count in (1, 2, 3):
            for chosen in itertools.permutations(members, count):
                yield from _denials(chosen, terms, frames)


def _denials(
    chosen: tuple[str, ...], terms: dict[str, list[str]], frames: list[str]
) -> Iterator[tuple[str, str, LabelState]]:
    longest = max(len(terms[c]) for c in chosen)
    for frame, index in itertools.product(frames, range(longest)):
        joined = join_terms([terms[c][index % len(terms[c])] for c in chosen], oxford=index % 2 == 1)
        for condition in chosen:
            yield tidy(frame.format(list=joined)), condition, LabelState.NEGATIVE


def all_phrases() -> list[tuple[str, str, LabelState]]:
    """Every sentence that the grammar can write, once per condition that it states: (text, condition, state).
    A sentence that denies several conditions is listed several times. Joins of two and three conditions use each
    term at least once, not every product of terms."""
    return sorted(set(itertools.chain(stated_phrases(), denied_phrases())))


def silent_phrases() -> list[str]:
    """Every sentence that states no condition at all."""
    return sorted(text for texts in phrases()["filler"].values() for text in texts)
