"""Results that come by pull request: a hash over what was measured, and the licence under which they are given.

A result with a `submission` is refused when it is read if anything in it, or in its file of values, was changed since.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedmrg_core.hashes import file_sha256, json_sha256

LICENCES = ("Apache-2.0", "CC0-1.0", "CC-BY-4.0")
KEY = "submission"


def sealed(committed: dict[str, Any], licence: str, values: Path) -> dict[str, Any]:
    """A result as its committed text gives it back, with its submission. values: its file of study values, if any."""
    return {**committed, KEY: {"licence": licence, "sha256": _digest(committed), "values_sha256": _of_file(values)}}


def problem(result: dict[str, Any], values: Path) -> str:
    """What is wrong with a result's submission, in a few words; "" if nothing is, or if it has none."""
    submission = result.get(KEY)
    if submission is None:
        return ""
    if not isinstance(submission, dict) or submission.get("licence") not in LICENCES:
        return f"its submission has no licence of {', '.join(LICENCES)}"
    if submission.get("sha256") != _digest(result):
        return "it was changed after `fedmrg submit` wrote it"
    return "" if submission.get("values_sha256") == _of_file(values) else f"{values.name} is not the one it came with"


def _digest(result: dict[str, Any]) -> str:
    return json_sha256({key: value for key, value in result.items() if key != KEY})


def _of_file(path: Path) -> str:
    return file_sha256(path) if path.is_file() else ""
