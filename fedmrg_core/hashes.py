"""SHA-256 of files, of plain values and of this program, and descriptions that carry their own hash."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedmrg_core.paths import ROOT

SEAL = "self"
"""Key of a description's own hash."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, streamed."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def json_sha256(value: Any) -> str:
    """SHA-256 of anything that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def core_sha256() -> str:
    """SHA-256 over the names and bytes of this package's source files."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "fedmrg_core").rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def code_sha256(source: str) -> str:
    """Hash of a program without comments, layout and docstrings; the same under every version of Python."""
    return json_sha256(_plain(ast.parse(source)))


def _plain(node: Any) -> Any:
    """A syntax tree as lists. Empty fields are left out: newer versions of Python add some."""
    if isinstance(node, list):
        return [_plain(item) for item in node if not _is_docstring(item)]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [[name, _plain(value)] for name, value in ast.iter_fields(node) if value not in (None, [])]
    return [type(node).__name__, *fields]


def _is_docstring(node: Any) -> bool:
    """Whether a statement is a text that nobody uses, as docstrings are."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def sealed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts and, as "self", their hash."""
    return {**facts, SEAL: json_sha256(facts)}


def unsealed(stored: Mapping[str, Any]) -> dict[str, Any] | None:
    """The facts that `sealed` was given; None if they were changed since, or never sealed.

    >>> unsealed(sealed({"round": 1})), unsealed({**sealed({"round": 1}), "round": 2})
    ({'round': 1}, None)
    """
    facts = {name: value for name, value in stored.items() if name != SEAL}
    return facts if stored.get(SEAL) == json_sha256(facts) else None
