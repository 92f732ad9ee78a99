"""The key of a base: a hash of everything that decides its recipe, the code of the warm-up included."""

from __future__ import annotations

import ast
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from fedmrg_core.engine import warmup
from fedmrg_core.hashes import json_sha256
from fedmrg_core.models.config import ModelConfig


def base_key(config: ModelConfig, corpus_fingerprint: str, seed: int) -> str:
    """The first 20 hex digits of the hash over format, code of the warm-up, [model] settings, corpus and seed."""
    facts = {"format": warmup.FORMAT, "code": warmup_code(), "model": asdict(config)}
    return json_sha256({**facts, "corpus": corpus_fingerprint, "seed": seed})[:20]


@cache
def warmup_code() -> str:
    """Hash of `warmup.py`; see `code_sha256`."""
    return code_sha256(Path(warmup.__file__).read_text(encoding="utf-8"))


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
