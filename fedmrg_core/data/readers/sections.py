"""Sections of a free-text radiology report, as MIMIC-CXR's reports are written.

A heading stands at the beginning of a line and ends with a colon; it is in capitals, or is one of the words below in
any case. Headings that name the views ("CHEST, PA AND LATERAL:") open the findings where no findings heading does.
Wet reads and addenda are not the report: they end at the next heading or line of underscores.
"""

from __future__ import annotations

import re

_KNOWN = {
    "findings": "findings",
    "finding": "findings",
    "findings and impression": "findings",
    "impression and findings": "findings",
    "report": "findings",
    "impression": "impression",
    "impressions": "impression",
    "conclusion": "impression",
    "conclusions": "impression",
    "summary": "impression",
    "indication": "indication",
    "history": "indication",
    "clinical history": "indication",
    "clinical information": "indication",
    "reason for exam": "indication",
    "reason for examination": "indication",
    "comparison": "comparison",
    "comparisons": "comparison",
    "technique": "technique",
    "examination": "examination",
    "exam": "examination",
    "study": "examination",
    "addendum": "addendum",
    "wet read": "wet read",
    "recommendation": "other",
    "recommendations": "other",
    "recommendation(s)": "other",
    "notification": "other",
    "notifications": "other",
    "final report": "other",
}
_VIEWS = re.compile(r"\b(chest|views?|radiographs?|portable|lateral|upright|frontal)\b")
_HEADING = re.compile(r"^[ \t]*([A-Za-z][A-Za-z0-9 ,.()/&'-]{1,70}?)[ \t]*:(?=\s|$)", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*_{5,}[ \t]*$", re.MULTILINE)
_TITLE = re.compile(r"^[ \t]*(FINAL (REPORT|ADDENDUM)|ADDENDUM|WET READ)[^\n:]*$", re.MULTILINE | re.IGNORECASE)


def sections(report: str) -> dict[str, str]:
    """The text of each section by its plain name, white space collapsed; a section met twice is joined.

    >>> sections("FINAL REPORT\\n INDICATION: Cough.\\n Findings:  The lungs\\n are clear.\\n IMPRESSION: Normal.")
    {'indication': 'Cough.', 'findings': 'The lungs are clear.', 'impression': 'Normal.'}
    """
    marks = [(m.start(), m.end(), _name(m.group(1))) for m in _HEADING.finditer(report)]
    marks += [(m.start(), m.end(), _title(m.group(1))) for m in _TITLE.finditer(report)]
    marks += [(m.start(), m.end(), "other") for m in _RULE.finditer(report)]
    marks = sorted(mark for mark in marks if mark[2])
    found: dict[str, str] = {}
    for at, (_, end, name) in enumerate(marks):
        stop = marks[at + 1][0] if at + 1 < len(marks) else len(report)
        text = " ".join(report[end:stop].split())
        if text:
            found[name] = f"{found[name]} {text}" if name in found else text
    if "findings" not in found and "views" in found:
        found["findings"] = found["views"]
    return found


def _name(heading: str) -> str:
    """The section that a heading opens; "" where it is no heading."""
    plain = " ".join(heading.lower().split())
    if plain in _KNOWN:
        return _KNOWN[plain]
    if heading != heading.upper():
        return ""
    return "views" if _VIEWS.search(plain) else "other"


def _title(title: str) -> str:
    plain = title.lower()
    return "addendum" if "addendum" in plain else "wet read" if "wet" in plain else "other"
