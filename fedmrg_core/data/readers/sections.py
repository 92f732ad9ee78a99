"""Sections of a free-text radiology report, as MIMIC-CXR's reports are written.

A heading is at the beginning of a line and ends with a colon. It opens a section if it is one of the words below, in
any case, or is in capitals and holds one of the words of `_IN_CAPITALS`. Other headings, such as "LUNGS:", belong to
the section that they are in. Headings that name the views ("CHEST, PA AND LATERAL:") open the findings where no
findings heading does. Wet reads and addenda are not the report: they end at the next section or line of underscores.
"""

from __future__ import annotations

import re

from fedmrg_core.metrics.report_text import prepare_report

_KNOWN = {
    "findings": ("findings", "finding", "findings and impression", "impression and findings", "report"),
    "impression": ("impression", "impressions", "conclusion", "conclusions", "summary"),
    "indication": (
        "indication",
        "history",
        "clinical history",
        "clinical information",
        "reason for exam",
        "reason for examination",
    ),
    "comparison": ("comparison", "comparisons"),
    "technique": ("technique",),
    "examination": ("examination", "exam", "study"),
    "addendum": ("addendum",),
    "wet read": ("wet read", "preliminary report", "provisional findings impression (pfi)"),
    "other": (
        "recommendation",
        "recommendations",
        "recommendation(s)",
        "notification",
        "notifications",
        "final report",
    ),
}
"""Section -> headings that open it, in any case."""

_SECTION_OF = {heading: section for section, headings in _KNOWN.items() for heading in headings}
_IN_CAPITALS = (
    (re.compile(r"\bfindings?\b"), "findings"),
    (re.compile(r"\b(impressions?|conclusions?)\b"), "impression"),
    (re.compile(r"\b(history|indications?|reason for|clinical)\b"), "indication"),
    (re.compile(r"\bcomparisons?\b"), "comparison"),
    (re.compile(r"\btechnique\b"), "technique"),
    (re.compile(r"\baddend(um|a)\b"), "addendum"),
    (re.compile(r"\b(wet read|preliminary|provisional)\b"), "wet read"),
    (re.compile(r"\b(recommendations?|notifications?|dictated|attending|signed|reported by)\b"), "other"),
    (re.compile(r"\b(examination|exam|procedure|date|dose|contrast)\b"), "examination"),
)
"""A word of a heading in capitals -> the section that it opens; the first that fits."""
_VIEWS = re.compile(r"\b(chest|views?|radiographs?|portable|lateral|upright|frontal)\b")
_HEADING = re.compile(r"^[ \t]*([A-Za-z][A-Za-z0-9 ,.()/&'-]{1,70}?)[ \t]*:(?=\s|$)", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*_{5,}[ \t]*$", re.MULTILINE)
_TITLE = re.compile(r"^[ \t]*(FINAL (REPORT|ADDENDUM)|ADDENDUM|WET READ)[^\n:]*$", re.MULTILINE | re.IGNORECASE)


def sections(report: str) -> dict[str, str]:
    """The text of each section by its plain name (see `prepare_report`); a section that occurs twice is joined.

    >>> sections("FINAL REPORT\\n INDICATION: Cough.\\n Findings:  The lungs\\n are clear.\\n IMPRESSION: Normal.")
    {'indication': 'Cough.', 'findings': 'The lungs are clear.', 'impression': 'Normal.'}
    """
    marks = [(m.start(), m.end(), _name(m.group(1))) for m in _HEADING.finditer(report)]
    marks += [(m.start(), m.end(), _title(m.group(1))) for m in _TITLE.finditer(report)]
    marks += [(m.start(), m.end(), "other") for m in _RULE.finditer(report)]
    marks = _openings(sorted(mark for mark in marks if mark[2]))
    found: dict[str, str] = {}
    for at, (_, end, name) in enumerate(marks):
        stop = marks[at + 1][0] if at + 1 < len(marks) else len(report)
        text = prepare_report(report[end:stop], wrapped=True)
        if text:
            found[name] = f"{found[name]}\n{text}" if name in found else text
    if "findings" not in found and "views" in found:
        found["findings"] = found["views"]
    return found


def _openings(marks: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """The marks without those of views inside the findings, which they do not end."""
    kept: list[tuple[int, int, str]] = []
    for mark in marks:
        if mark[2] != "views" or not kept or kept[-1][2] != "findings":
            kept.append(mark)
    return kept


def _name(heading: str) -> str:
    """The section that a heading opens; "" where it is none, such as "LUNGS", which is a part of the findings."""
    plain = " ".join(heading.lower().replace("/", " and ").split())
    if plain in _SECTION_OF:
        return _SECTION_OF[plain]
    if heading != heading.upper():
        return ""
    section = next((section for pattern, section in _IN_CAPITALS if pattern.search(plain)), "")
    return section or ("views" if _VIEWS.search(plain) else "")


def _title(title: str) -> str:
    plain = title.lower()
    return "addendum" if "addendum" in plain else "wet read" if "wet" in plain else "other"
