"""The studies of a page: every test study with each run's report and the conditions of all texts, and a choice of them.

Half of the choice are the studies about which the runs disagree most, half are drawn; both by turns over hospitals.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark.reading.runs import Run
from fedmrg_core.errors import DataError
from fedmrg_core.types import Labels, LabelState

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.data.cache.federation import Federation


@dataclass(frozen=True)
class Text:
    """A report and what it says of the 14 conditions."""

    text: str
    states: Labels

    @property
    def positive(self) -> frozenset[int]:
        """Numbers of the conditions that it calls present."""
        return frozenset(at for at, state in enumerate(self.states) if state == LabelState.POSITIVE)


@dataclass(frozen=True)
class Study:
    """A test study. row: of the federation's tables. seen: whether its hospital took part in training. reports: one per
    run. disputed: chosen because the runs disagree about it."""

    row: int
    study_id: str
    hospital: str
    seen: bool
    reference: Text
    reports: tuple[Text, ...]
    disputed: bool = False

    @property
    def disagreement(self) -> int:
        """In how many conditions two runs differ, summed over pairs of runs; of one run: it and the reference."""
        texts = self.reports if len(self.reports) > 1 else (self.reference, *self.reports)
        return sum(len(one.positive ^ other.positive) for one, other in itertools.combinations(texts, 2))


def reported_studies(runs: Sequence[Run], federation: Federation) -> list[Study]:
    """Test studies that every run reported, by study id: of seen hospitals in the personal view, of unseen ones in the
    global view. Raises DataError if there is none."""
    from fedmrg_core.metrics.scorecard import labeler_of, labels_of

    reports = [_leading(run.generations) for run in runs]
    common = sorted(set.intersection(*map(set, reports)))
    rows = {study: row for row, study in enumerate(federation.study_ids)}
    facts = [(hospital, row) for hospital in federation.hospitals for row in hospital.rows["test"]]
    hospitals = {int(row): hospital for hospital, row in facts}
    known = [study for study in common if rows.get(study) in hospitals]
    if not known:
        raise DataError("the runs have no test study in common (`evaluate.parts` of their configs)")
    texts = [text for study in known for text in (federation.reports[rows[study]], *(one[study] for one in reports))]
    states, _ = labels_of(texts, labeler_of("rules"))
    read = [Text(text, tuple(map(int, row))) for text, row in zip(texts, states, strict=True)]
    found = []
    for at, study in enumerate(known):
        reference, *others = read[at * (len(runs) + 1) : (at + 1) * (len(runs) + 1)]
        hospital = hospitals[rows[study]]
        found.append(Study(rows[study], study, hospital.name, hospital.seen, reference, tuple(others)))
    return found


def _leading(table: pd.DataFrame) -> dict[str, str]:
    """Study id -> report of the view that counts for its hospital."""
    own = (table["part"] == "test") & (table["view"] == "personal")
    unseen = (table["part"] == "unseen") & (table["view"] == "global")
    rows = table[own | unseen]
    return dict(zip(rows["study_id"].astype(str), rows["hypothesis"].astype(str), strict=True))


def choose_studies(studies: Sequence[Study], count: int) -> list[Study]:
    """At most `count` studies, by hospital; equal studies give an equal choice.

    The hospitals take turns. The first half of the turns take the study of the hospital with the largest disagreement,
    the others the study with the smallest hash of its id, as good as drawn by lot.
    """
    left: dict[str, list[Study]] = {}
    for study in sorted(studies, key=lambda one: (one.hospital, _lot(one))):
        left.setdefault(study.hospital, []).append(study)
    turns, disputed = _turns(left), (count + 1) // 2
    chosen = []
    for number, hospital in enumerate(itertools.islice(turns, count)):
        first = number < disputed
        order: Callable[[Study], int] = (lambda one: -one.disagreement) if first else (lambda _: 0)
        study = min(left[hospital], key=order)
        left[hospital].remove(study)
        chosen.append(replace(study, disputed=first))
    return sorted(chosen, key=lambda one: (one.hospital, not one.disputed, -one.disagreement, one.study_id))


def _turns(left: dict[str, list[Study]]) -> Iterator[str]:
    """The hospitals in turn, as long as they have studies left."""
    while any(left.values()):
        for hospital, studies in left.items():
            if studies:
                yield hospital


def _lot(study: Study) -> str:
    return hashlib.sha256(study.study_id.encode()).hexdigest()
