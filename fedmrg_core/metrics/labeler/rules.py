"""Loads the rule files: `conditions.toml` (what names each condition) and `context.toml` (negation, doubt, clauses).

Kinds of phrase in conditions.toml: mention (names a condition; its clause decides the state), unsure (a mention that
is at most uncertain), sign (a mention whose denial says nothing of the condition), absent / doubtful / present (states
it by itself), ignore (hides the mentions within it). The section `other` holds abnormalities beyond the 13 conditions,
which rule No Finding out. Kinds in context.toml: deny_before, deny_after, doubt_before, doubt_after, doubt_near (within
three words), hint (weak doubt: a denial reaches through it), affirm_after, neutral (no denial, though it looks like
one) and stop (ends a clause).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from fedmrg_core.errors import FedMRGError, choose
from fedmrg_core.metrics.labeler.patterns import Matcher, Tag
from fedmrg_core.types import CONDITIONS

STATING = ("mention", "unsure", "sign", "present", "absent", "doubtful")
CONTEXT = (
    "deny_before", "deny_after", "doubt_before", "doubt_after", "doubt_near", "hint", "affirm_after", "neutral", "stop",
)  # fmt: skip
OTHER = "other"


def read(name: str) -> dict[str, Any]:
    """One parsed rule file of this package."""
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def condition_rules() -> Iterator[tuple[str, Tag]]:
    """(pattern, tag) for every phrase of conditions.toml."""
    for condition, kinds in read("conditions.toml").items():
        if condition != OTHER:
            choose("condition", condition, CONDITIONS, FedMRGError)
        for kind, patterns in kinds.items():
            choose("kind of phrase", kind, (*STATING, "ignore"), FedMRGError)
            for pattern in patterns:
                yield pattern, (kind, condition)


def context_rules() -> Iterator[tuple[str, Tag]]:
    """(pattern, tag) for every phrase of context.toml."""
    for kind, patterns in read("context.toml")["phrases"].items():
        choose("kind of context", kind, CONTEXT, FedMRGError)
        for pattern in patterns:
            yield pattern, (kind, "")


@cache
def sections() -> tuple[frozenset[str], frozenset[str]]:
    """Section headings whose text is read, and those whose text is not (history, comparison, technique ..)."""
    table = read("context.toml")["sections"]
    return frozenset(table["read"]), frozenset(table["skip"])


@cache
def matcher() -> Matcher:
    """The compiled rules, once a process."""
    return Matcher([*condition_rules(), *context_rules()])
