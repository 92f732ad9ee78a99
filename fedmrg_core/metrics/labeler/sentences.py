"""Splits a report into sentences, without the sections that are not findings (history, comparison ..).

A report may have its line breaks or have lost them: both forms give the same labels. So a sentence ends at punctuation,
at a list item, at a heading, and where a line began. A heading that names an organ is read with what follows:
"HEART: Mildly enlarged" speaks of the heart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fedmrg_core.metrics.labeler.rules import Sections, sections

# Matching is linear: every alternative starts with a fixed character, and repeats are bounded.
_BREAK = re.compile(
    r"[.!;](?!\d)|(?<=\S\?)\s(?!\s{0,3}(?:no|none|nil|yes)\b)|[•·▪]|\s\*\s"
    r"|\n(?=[ \t]{0,20}(?:\n|[-*•\d]))|\s(?=\d{1,2}\)\s)|\s(?=(?<!:\s)\d{1,2}\.\s)",
    re.IGNORECASE,
)
_WRAPPED = re.compile(r"(?:,|\b(?:of|the|no|or|and|with|without|to|for|a|an|in|on|at|by|is|are|left|right|any))$", re.I)
_LINE = re.compile(r"\n(?=[ \t]{0,20}[A-Z])")
_STARTER = re.compile(
    r"(?<=[a-z])\s+(?=(?:No|Small|Tiny|Mild|Mildly|Moderate|Minimal|Trace|Stable|Unchanged|Persistent|The|There|Heart|"
    r"Lungs|Cardiac|Cardiomediastinal|Mediastinum|Bones|Bony|Osseous|Normal)\s[a-z])"
)
_ANSWERED = re.compile(
    r"(:\s{0,3}(?:no|none|nil|negative|absent|yes|present|normal))(?:\s{0,3}/\s{0,3}|\s+)(?=[A-Z][A-Za-z /-]{0,40}:)",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z][A-Za-z /&-]*$")
_ORGAN = re.compile(
    r"\b(?:heart|cardi\w+|mediastin\w+|aort\w+|lungs?|pulmonary|hil\w+|pleura\w*|ribs?|bon\w+|osseous|spine|vascul\w+)\b"
)


@dataclass(frozen=True)
class _Heading:
    """A heading of a report: where it starts, where its text starts, its plain name, and whether its text is read."""

    start: int
    end: int
    name: str
    read: bool


def sentences(report: str) -> Iterator[str]:
    """The sentences of the sections that count, lower-cased; headings are left out unless they name an organ."""
    known = sections()
    headings = [_Heading(0, 0, "", True), *_headings(report, known)]
    ends = [heading.start for heading in headings[1:]] + [len(report)]
    for heading, end in zip(headings, ends, strict=True):
        if not heading.read:
            continue
        organ = known.organ.get(heading.name, "")
        for sentence in _split(report[heading.end : end]):
            yield f"{organ} : {sentence}" if organ and not _ORGAN.search(sentence) else sentence
            organ = ""


def _split(text: str) -> Iterator[str]:
    """The sentences of one section, lower-cased, white space collapsed."""
    for part in _BREAK.split(_ANSWERED.sub(r"\1. ", text)):
        for line in _lines(part):
            for sentence in _STARTER.split(line):
                if sentence.strip(" \t\n-*"):
                    yield " ".join(sentence.lower().split())


def _lines(text: str) -> Iterator[str]:
    """The lines of a text that start with a capital, joined where the line before cannot end a sentence."""
    pending: list[str] = []
    for line in _LINE.split(text):
        pending.append(line)
        if not _WRAPPED.search(line.rstrip()[-20:]):
            yield " ".join(pending)
            pending = []
    yield " ".join(pending)


def _headings(report: str, known: Sections) -> Iterator[_Heading]:
    """The headings of a report, in order. At the start of a line or sentence any case counts; elsewhere a heading is a
    known name that starts with a capital. An unknown one in capitals ends a section that is not read."""
    skipping = False
    for colon in re.finditer(":", report):
        before = report[max(0, colon.start() - 60) : colon.start()]
        match = _NAME.search(before)
        if match is None:
            continue
        words, offset = match.group().split(), colon.start() - len(before) + match.start()
        found = _known_name(report, offset, words, known)
        if found is None:
            if skipping and _at_start(report, offset) and match.group().isupper():
                skipping = False
                yield _Heading(offset, offset, "", True)
            continue
        name, start = found
        skipping = name in known.skip
        yield _Heading(start, colon.end(), name, not skipping)


def _known_name(report: str, offset: int, words: list[str], known: Sections) -> tuple[str, int] | None:
    """The longest known name that ends a run of words which starts at `offset`, and where it starts."""
    position = offset
    for count in range(len(words), 0, -1):
        position = report.index(words[len(words) - count], position)
        name = " ".join(words[len(words) - count :]).lower().replace("&", "and").replace(" / ", "/")
        before = words[: len(words) - count]
        if name in known and (_at_start(report, position) or _stands_out(report, position, before)):
            return name, position
    return None


def _at_start(report: str, position: int) -> bool:
    """Whether a line or sentence starts at `position`."""
    before = report[max(0, position - 20) : position].rstrip(" \t")
    return not before or before[-1] in "\n.;!?-*•:)"


def _stands_out(report: str, position: int, before: list[str]) -> bool:
    """Whether a name within a sentence looks like a heading: a capital, and not the end of words in capitals."""
    return report[position].isupper() and not (before and len(before[-1]) > 1 and before[-1].isupper())
