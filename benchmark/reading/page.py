"""The view model of a page of reports: what it shows, already decided and formatted. The template lays it out."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.board.cells import DASH, column, decimal, is_noted
from benchmark.board.results import TRIVIAL
from benchmark.board.view import FORMALISATION
from benchmark.reading.runs import Run
from benchmark.reading.studies import Study, Text
from fedmrg_core.metrics.catalogue import VIEWS, find
from fedmrg_core.types import CONDITIONS, LabelState

if TYPE_CHECKING:
    from fedmrg_core.data.cache.federation import Federation

PHANTOM = "phantom"
METRICS = ("ce_f1_micro14", "bleu4", "nll")
KINDS = {"agrees": "\u2713", "missed": "\u2212", "invented": "+"}
"""What a report does with a condition, each with its sign."""
SAID = {LabelState.BLANK: "", LabelState.NEGATIVE: "denied", LabelState.UNCERTAIN: "uncertain"}
"""What the other text says of a condition that it does not call present."""
HOW_READ = (
    "Conditions are what the rule labeler ({version}) reads in both texts, and it can be wrong. A condition counts "
    "where a text calls it present, not where it is uncertain. Signs before sentences: \u2713 all its findings are in "
    "the reference, + one is not."
)
TRUTH = "\u201cOn the film\u201d: the film was drawn with this finding, and the reference leaves it out."
NO_FINDING = CONDITIONS.index("No Finding")
LOSSLESS = 128
"""Films of at most so many pixels a side are stored as they are: blocks of JPEG would show when they are enlarged."""
_ENDS = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")


@dataclass(frozen=True)
class Chip:
    """One condition in one report. note: what the text without it says instead, and whether the film shows it."""

    kind: str
    condition: int
    note: str

    @property
    def sign(self) -> str:
        return KINDS[self.kind]

    @property
    def title(self) -> str:
        return CONDITIONS[self.condition]


@dataclass(frozen=True)
class Column:
    """One text of a study: sentences with a kind ("" where it names no condition), chips, and the numbers of its
    positive conditions."""

    sentences: tuple[tuple[str, str], ...]
    chips: tuple[Chip, ...]
    positive: tuple[int, ...]

    @property
    def others(self) -> int:
        """Conditions that neither this text nor the reference calls present."""
        return len(CONDITIONS) - len(self.chips)


@dataclass(frozen=True)
class Card:
    """One study. film: a data URI. truth: what the film shows; None where nobody knows."""

    study: Study
    film: str
    truth: tuple[str, ...] | None
    reference: Column
    reports: tuple[Column, ...]


@dataclass(frozen=True)
class Line:
    """One run of the summary: scores as text, and how often its chips are of each kind. noted: the note on FedMRG
    applies to it. trivial: reads no film or was never trained."""

    name: str
    run_id: str
    noted: bool
    trivial: bool
    scores: tuple[str, ...]
    tally: tuple[int, ...]


@dataclass(frozen=True)
class Page:
    """A page. choice: how its studies were chosen. notes: how its conditions are read. groups: titles of the views,
    each over `metrics`."""

    title: str
    choice: tuple[str, ...]
    notes: tuple[str, ...]
    footnotes: tuple[str, ...]
    groups: tuple[str, ...]
    metrics: tuple[str, ...]
    lines: tuple[Line, ...]
    cards: tuple[Card, ...]

    @property
    def hospitals(self) -> dict[str, bool]:
        """Hospital -> whether it took part in training."""
        return {card.study.hospital: card.study.seen for card in self.cards}

    @property
    def findings(self) -> list[tuple[int, str]]:
        """Number and name of the conditions that any text on the page calls present."""
        found = {chip.condition for card in self.cards for one in card.reports for chip in one.chips}
        return [(number, CONDITIONS[number]) for number in sorted(found)]


def page_of(runs: Sequence[Run], federation: Federation, chosen: Sequence[Study], choice: Sequence[str]) -> Page:
    """The page of these studies. choice: sentences that say how they were chosen."""
    from fedmrg_core.metrics.labeler import VERSION

    cards = tuple(_cards(federation, chosen))
    result = runs[0].result
    title = f"{federation.split}, preset {result['preset']}, seed {result['seed']}"
    views = [view for view in VIEWS if view.differences]
    return Page(
        title=title,
        choice=tuple(choice),
        notes=(HOW_READ.format(version=VERSION), *((TRUTH,) if federation.name == PHANTOM else ())),
        footnotes=tuple(_footnotes([run.result["algorithm"] for run in runs])),
        groups=tuple(view.long_title for view in views),
        metrics=tuple(column(find(name)) for name in METRICS),
        lines=tuple(_line(run, at, [view.key for view in views], cards) for at, run in enumerate(runs)),
        cards=cards,
    )


def _footnotes(algorithms: Sequence[str]) -> Iterator[str]:
    if any(map(is_noted, algorithms)):
        yield f"* FedMRG and its variants: {FORMALISATION}."
    if set(algorithms) & set(TRIVIAL):
        yield "Runs in italics read no film or were never trained: they show what a score is worth."


def _line(run: Run, at: int, views: Sequence[str], cards: Sequence[Card]) -> Line:
    kinds = [chip.kind for card in cards for chip in card.reports[at].chips]
    scores = [run.result["scores"].get(f"{view}/{name}", {}).get("value") for view in views for name in METRICS]
    texts = tuple(DASH if value is None else decimal(value) for value in scores)
    tally = tuple(kinds.count(kind) for kind in KINDS)
    algorithm = run.result["algorithm"]
    return Line(run.name, run.run_id, is_noted(algorithm), algorithm in TRIVIAL, texts, tally)


def _cards(federation: Federation, chosen: Sequence[Study]) -> Iterator[Card]:
    truth = _truth(federation, chosen)
    films = federation.frontal([study.row for study in chosen])
    for study, film in zip(chosen, films, strict=True):
        known = truth.get(study.study_id)
        drawn = frozenset(map(CONDITIONS.index, known or ()))
        reports = tuple(report_column(text, study.reference, drawn) for text in study.reports)
        shown = None if known is None else tuple(_drawn(name, *facts) for name, facts in known.items())
        yield Card(study, film_uri(film), shown, _reference_column(study.reference), reports)


def _truth(federation: Federation, chosen: Sequence[Study]) -> Mapping[str, Mapping[str, tuple[str, int]]]:
    """What the films show, by study id; empty where nobody knows."""
    if federation.name != PHANTOM:
        return {}
    from fedmrg_core.data.phantom.truth import shown

    return shown(study.study_id for study in chosen)


def _drawn(condition: str, side: str, severity: int) -> str:
    side = {"both": "both sides"}.get(side, side)
    return f"{condition} ({', '.join(filter(None, (side, f'severity {severity + 1} of 3')))})"


def report_column(report: Text, reference: Text, drawn: frozenset[int] = frozenset()) -> Column:
    """A report beside its reference. drawn: numbers of the conditions that the film shows, where that is known."""
    chips = []
    for number in sorted(report.positive | reference.positive):
        if number in report.positive & reference.positive:
            kind, other = "agrees", ""
        elif number in reference.positive:
            kind, other = "missed", SAID[LabelState(report.states[number])]
        else:
            kind, other = "invented", SAID[LabelState(reference.states[number])]
            other = "on the film" if number in drawn else f"{other} by the reference" if other else ""
        chips.append(Chip(kind, number, other))
    return Column(_sentences(report, reference), tuple(chips), tuple(sorted(report.positive)))


def _reference_column(reference: Text) -> Column:
    return Column(tuple((one, "") for one in sentences(reference.text)), (), tuple(sorted(reference.positive)))


def _sentences(report: Text, reference: Text) -> tuple[tuple[str, str], ...]:
    """Each sentence of a report, and whether the findings that it states are in the reference."""
    from fedmrg_core.metrics.scorecard import labeler_of, labels_of

    found = []
    texts = sentences(report.text)
    states, _ = labels_of(texts, labeler_of("rules"))
    for text, row in zip(texts, states, strict=True):
        stated = Text(text, tuple(row)).positive & report.positive - {NO_FINDING}
        kind = "" if not stated else "agrees" if stated <= reference.positive else "invented"
        found.append((text, kind))
    return tuple(found)


def sentences(report: str) -> list[str]:
    """A report in sentences and lines, as it is written.

    >>> sentences("Effusion of 2.5 cm. No edema.")
    ['Effusion of 2.5 cm.', 'No edema.']
    """
    return [part for part in _ENDS.split(report.strip()) if part]


def film_uri(film: Any) -> str:
    """A film, uint8 [size, size], as a data URI: PNG up to LOSSLESS pixels a side, else JPEG."""
    from PIL import Image

    stream = io.BytesIO()
    kind = "png" if max(film.shape) <= LOSSLESS else "jpeg"
    Image.fromarray(film).save(stream, kind, optimize=True, **({"quality": 85} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
