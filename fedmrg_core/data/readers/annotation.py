"""R2Gen's annotation.json, the same file format for IU X-ray and MIMIC-CXR."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmrg_core.errors import DataError, first_line
from fedmrg_core.metrics.report_text import prepare_report
from fedmrg_core.types import PARTS

ANNOTATION = "annotation.json"


@dataclass(frozen=True)
class AnnotatedStudy:
    """One study. `row` counts entries from 1, train first; `fields`: all of it, for the keys that one data set has."""

    part: str
    row: int
    report: str
    images: tuple[str, ...]
    fields: dict[str, Any]


def annotates(root: Path, pattern: str) -> bool:
    """Whether the folder has an annotation with `pattern` near its beginning; the file may be very long."""
    try:
        with (root / ANNOTATION).open(encoding="utf-8", errors="replace") as file:
            return re.search(pattern, file.read(4000)) is not None
    except OSError:
        return False


def entries(root: Path) -> list[AnnotatedStudy]:
    """Every study. Raises DataError, with the entry's number where it is an entry's fault."""
    try:
        content = json.loads((root / ANNOTATION).read_text("utf-8-sig"))
        parts = {part: content[part] for part in PARTS if part in content}
        found = [(part, entry) for part in parts for entry in parts[part]]
    except (ValueError, TypeError, OSError, RecursionError) as error:
        raise DataError(f"is not R2Gen's annotation ({first_line(error)})", ANNOTATION) from None
    if not parts:
        raise DataError(f"is not R2Gen's annotation: it has none of {', '.join(PARTS)}", ANNOTATION)
    return [_entry(part, row, given) for row, (part, given) in enumerate(found, 1)]


def number(entry: AnnotatedStudy, key: str) -> int:
    """A whole number, 0 or more, of an entry. Raises DataError."""
    value = entry.fields.get(key)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        return int(value)
    if type(value) is int and value >= 0:
        return value
    raise DataError(f"{key} {value!r:.40} is not a number", ANNOTATION, entry.row)


def _entry(part: str, row: int, given: Any) -> AnnotatedStudy:
    fields = given if isinstance(given, dict) else {}
    report, images = fields.get("report"), fields.get("image_path")
    if not isinstance(report, str) or not isinstance(images, list) or not images:
        raise DataError("the entry needs an id, a report and image_path (a list of files)", ANNOTATION, row)
    if not all(isinstance(image, str) for image in images):
        raise DataError("image_path holds something else than file names", ANNOTATION, row)
    for text in (report, *images):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise DataError("the entry holds half a character (a lone surrogate)", ANNOTATION, row)
    return AnnotatedStudy(part, row, prepare_report(report), tuple(images), fields)
