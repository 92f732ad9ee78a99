"""Loads the rule files: `conditions.toml` (what names each condition) and `context.toml` (negation, doubt, clauses).

Kinds of phrase in conditions.toml: mention (names a condition; its clause decides the state), unsure (a mention that
is at most uncertain), sign (a mention whose denial says nothing of the condition), absent / doubtful / present (states
the condition by itself), ignore (hides the mentions inside it). The section `other` lists abnormalities beyond the 13
conditions; with one of them a report is not No Finding. Kinds in context.toml: deny_before, deny_after, doubt_before,
doubt_after, doubt_near (within three words), hint (weak doubt: a denial reaches through it), affirm_after, neutral
(looks like a denial and is none), stop (ends a clause), begin (a new finding begins: ends a denial), begin_side (the
same unless the clause has "or"), assert_after (states the finding before it, after a comma), deny_list (a denial of the
whole list before it), aside (what follows is not stated), size (of one finding), comma, colon and either ("or").
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fedmrg_core.errors import FedMRGError, choose
from fedmrg_core.metrics.labeler.patterns import Matcher, Tag
from fedmrg_core.types import CONDITIONS

STATING = ("mention", "unsure", "sign", "present", "absent", "doubtful")
CONTEXT = (
    "deny_before", "deny_after", "doubt_before", "doubt_after", "doubt_near", "hint", "affirm_after", "neutral", "stop",
    "begin", "begin_side", "assert_after", "comma", "colon", "either", "deny_list", "aside", "size",
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
    table = read("context.toml")
    for kind, patterns in table["phrases"].items():
        choose("kind of context", kind, CONTEXT, FedMRGError)
        for pattern in patterns:
            yield re.sub(r"@(\w+)", lambda name: f"({table['lists'][name.group(1)]})", pattern), (kind, "")


@dataclass(frozen=True)
class Sections:
    """Headings: of sections that are read, of sections that are not (history, comparison, technique ..), and those that
    name an organ, with the words that are read in front of what follows."""

    read: frozenset[str]
    skip: frozenset[str]
    organ: Mapping[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.read or name in self.skip or name in self.organ


@cache
def sections() -> Sections:
    """The headings of context.toml."""
    table = read("context.toml")["sections"]
    return Sections(frozenset(table["read"]), frozenset(table["skip"]), table["organ"])


@cache
def matcher() -> Matcher:
    """The compiled rules, once per process."""
    return Matcher([*condition_rules(), *context_rules()])
