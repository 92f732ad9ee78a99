"""The small phrase language of the rule files, and its matcher.

    heart <3> enlarge*            up to three words between; `enlarge*` is any word that starts so
    (small|large)? effusion(s|)   alternatives, and `?` for an optional word
    not @seen                     a list of context.toml, as alternatives

A text of n words is matched in O(n): the walk from each start is bounded by the depth and gaps of the rules' trie.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from fedmrg_core.errors import FedMRGError

Tag = tuple[str, str]
"""(kind, condition): what a phrase means; kinds are listed in `rules.py`."""

_TOKEN = re.compile(r"\([^()]*\)\??|<\d>|[^\s()]+")
_MAX_FORMS = 2000


@dataclass(slots=True)
class Node:
    """A trie node: next nodes by symbol, next nodes after a gap of up to k words, and the tags of rules ending here."""

    words: dict[str, Node] = field(default_factory=dict)
    gaps: dict[int, Node] = field(default_factory=dict)
    tags: list[Tag] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase found in a sentence: the positions of its words (those in a gap do not count), and its tags."""

    start: int
    end: int
    used: frozenset[int]
    tags: tuple[Tag, ...]


def expand(pattern: str) -> Iterator[tuple[str, ...]]:
    """Every word sequence that a pattern stands for.

    >>> sorted(expand("(no|without) (large)? effusion"))[:2]
    [('no', 'effusion'), ('no', 'large', 'effusion')]
    """
    parts: list[list[tuple[str, ...]]] = []
    for token in _TOKEN.findall(pattern.lower()):
        optional = token.endswith("?")
        body = token.rstrip("?").strip("()")
        forms = [tuple(form.split()) for form in body.split("|")]
        parts.append([*forms, ()] if optional else forms)
    for count, chosen in enumerate(itertools.product(*parts)):
        if count >= _MAX_FORMS:
            raise FedMRGError(f"rule '{pattern}' stands for more than {_MAX_FORMS} phrases: split it")
        yield tuple(itertools.chain.from_iterable(chosen))


class Matcher:
    """All rule phrases in one trie."""

    def __init__(self, rules: Iterable[tuple[str, Tag]]) -> None:
        self.root = Node()
        self.prefixes: set[str] = set()
        self._symbols: dict[str, tuple[str, ...]] = {}
        for pattern, tag in rules:
            for form in expand(pattern):
                self._add(pattern, form, tag)
        self._lengths = sorted({len(prefix) for prefix in self.prefixes})

    def _add(self, pattern: str, form: Sequence[str], tag: Tag) -> None:
        if not form or form[0].startswith("<") or form[-1].startswith("<"):
            raise FedMRGError(f"rule '{pattern}' is empty or starts or ends with a gap")
        node = self.root
        for word in form:
            if word.startswith("<"):
                node = node.gaps.setdefault(int(word[1:-1]), Node())
                continue
            if word.endswith("*"):
                self.prefixes.add(word[:-1])
            node = node.words.setdefault(word, Node())
        if tag not in node.tags:
            node.tags.append(tag)

    def symbols(self, word: str) -> tuple[str, ...]:
        """The trie symbols that a word matches: itself, and every prefix rule it fits."""
        found = self._symbols.get(word)
        if found is None:
            starts = (word[:length] for length in self._lengths if length <= len(word))
            found = (word, *(start + "*" for start in starts if start in self.prefixes))
            if len(self._symbols) < 100_000:
                self._symbols[word] = found
        return found

    def find(self, words: Sequence[str]) -> list[Match]:
        """All phrases in one sentence, in order of start, without those that a longer phrase contains."""
        symbols = [self.symbols(word) for word in words]
        found: list[Match] = []
        for start, names in enumerate(symbols):
            for name in names:
                node = self.root.words.get(name)
                if node is not None:
                    self._walk(node, symbols, start + 1, (start,), found)
        return without_contained(found)

    def _walk(
        self, node: Node, symbols: Sequence[tuple[str, ...]], position: int, used: tuple[int, ...], found: list[Match]
    ) -> None:
        if node.tags:
            found.append(Match(used[0], position, frozenset(used), tuple(node.tags)))
        if position >= len(symbols):
            return
        if node.words:
            for name in symbols[position]:
                step = node.words.get(name)
                if step is not None:
                    self._walk(step, symbols, position + 1, (*used, position), found)
        for width, after in node.gaps.items():
            for skip in range(min(width + 1, len(symbols) - position)):
                for name in symbols[position + skip]:
                    step = after.words.get(name)
                    if step is not None:
                        self._walk(step, symbols, position + skip + 1, (*used, position + skip), found)


def without_contained(found: list[Match]) -> list[Match]:
    """Merge the matches of equal words, and remove tags that a longer match around them replaces.

    A longer phrase hides phrases of the same condition inside it. Phrases of two conditions stay side by side ("normal
    heart size and mediastinum" speaks of both). Context words are hidden only by longer context.
    """
    merged: dict[frozenset[int], Match] = {}
    for match in found:
        same = merged.get(match.used)
        tags = match.tags if same is None else tuple(dict.fromkeys(same.tags + match.tags))
        merged[match.used] = Match(match.start, match.end, match.used, tags)
    matches = list(merged.values())
    if len(matches) > 1:
        longer = [match for match in matches if len(match.used) > 1]  # only these can contain another
        matches = [rest for match in matches if (rest := _visible(match, longer)).tags]
    return sorted(matches, key=lambda match: (match.start, match.end))


def _visible(match: Match, matches: Sequence[Match]) -> Match:
    hidden = {condition for other in matches if match.used < other.used for _, condition in other.tags}
    if not hidden:
        return match
    tags = tuple(tag for tag in match.tags if tag[1] not in hidden)
    return Match(match.start, match.end, match.used, tags)
