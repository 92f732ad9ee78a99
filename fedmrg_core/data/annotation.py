"""R2Gen's annotation.json, the same file format for IU X-ray and MIMIC-CXR."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedmrg_core.types import DataError

ANNOTATION = "annotation.json"


def annotates(root: Path, word: str) -> bool:
    """Whether the folder has an annotation with `word` near its beginning; MIMIC-CXR's is too long to read it all."""
    try:
        with (root / ANNOTATION).open(encoding="utf-8", errors="replace") as file:
            return word in file.read(4000)
    except (FileNotFoundError, IsADirectoryError):
        return False


def entries(root: Path) -> list[tuple[str, Any]]:
    """(part, entry) of every study, train first. Raises DataError where the file is not R2Gen's."""
    try:
        content = json.loads((root / ANNOTATION).read_text("utf-8-sig"))
        return [(part, entry) for part in ("train", "val", "test") for entry in content[part]]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(f"is not R2Gen's annotation ({type(error).__name__}: {error})", ANNOTATION) from None
