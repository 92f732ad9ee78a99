"""Splits a report into sentences and words, without the sections that are not findings (history, comparison ..)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fedmrg_core.metrics.labeler.rules import sections

# Every alternative starts with a fixed character and has no overlapping repeats: matching is linear.
_BREAK = re.compile(r"[.!?;](?!\d)|\n(?=[ \t]*(?:\n|[-*•\d]|[A-Za-z][A-Za-z /&]{0,40}:))")
_HEADING = re.compile(r"[ \t\n]*([A-Za-z][A-Za-z /&]{0,40}):")
_WORD = re.compile(r"[a-z0-9]+|,")


def sentences(report: str) -> Iterator[str]:
    """The sentences of the sections that count, lower-cased, headings left out."""
    read, skip = sections()
    skipping = False
    for part in _BREAK.split(report):
        rest = part
        while (heading := _HEADING.match(rest)) is not None:
            name = " ".join(heading.group(1).lower().split())
            if name not in read and name not in skip:
                break
            skipping = name in skip
            rest = rest[heading.end() :]
        if not skipping and rest.strip():
            yield " ".join(rest.lower().split())


def words(sentence: str) -> list[str]:
    """The words and commas of a lower-cased sentence; other punctuation only separates words."""
    return _WORD.findall(sentence)
