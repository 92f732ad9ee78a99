"""Which numbers moved, and which of them too far.

On the machine that made the expectations (its type and its libraries), everything is equal: hashes to the bit, numbers
to a part in 10^9. On another machine:

- facts, labels of the golden sentences and the base are equal;
- at most 5 % of the reports differ, or three times what the variants of rounding showed;
- losses, sizes of updates, weights and the likelihood differ by no more than ten times the spread of the variants, or
  five parts in 10^4;
- scores of texts are equal where the texts are; where k of n differ, within 4 k/n of their value.

A number whose tolerance would be a quarter of its value is not compared there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.gate.expectations import Measured, Numbers, differing

EXACT = 1e-9
"""Relative: what the same arithmetic leaves."""
MARGIN = 10.0
"""Tolerance of a number that rounding moves, as a multiple of the spread that the variants showed."""
LEAST = 5e-4
"""Smallest relative tolerance of such a number on another machine. A processor with AVX-512 moved a number of the
warm-up by 1.3e-4, more than ten times what the variants showed."""
MOST = 0.25
"""Largest relative tolerance; a number that would need more is compared on the same machine only."""
FLIPS, FLIPS_MARGIN = 0.05, 3
"""Share of the reports that may differ on another machine; and the multiple of the measured number, if that is more."""
ONE_OF_MANY = 0.01
"""Relative tolerance of shares over the diagnosis head's decisions, of which rounding may turn one."""
TRAINING, LIKELIHOOD, HEAD = ("round", "warm-up/"), "nll", "head_"


@dataclass(frozen=True)
class Move:
    """One number that differs. kind: facts, labeler, bits, texts, rounds or scores. tolerance: absolute; None = not
    compared on this machine. too_far: outside its tolerance."""

    run: str
    kind: str
    key: str
    expected: Any
    now: Any
    tolerance: float | None = 0.0
    too_far: bool = True

    @property
    def used(self) -> float:
        """The share of its tolerance that a number moved by; 0 where it has none."""
        numbers = isinstance(self.expected, int | float) and isinstance(self.now, int | float)
        return abs(self.now - self.expected) / self.tolerance if numbers and self.tolerance else 0.0


def other_facts(expected: Measured, now: Measured) -> list[str]:
    """What differs between the machine of the expectations and this one."""
    then, here = expected.machine, now.machine
    names = [name for name in {**then, **here} if then.get(name) != here.get(name)]
    return [f"{name}: {here.get(name, '-')}, expected {then.get(name, '-')}" for name in names]


def compare(expected: Measured, now: Measured) -> list[Move]:
    """Every number that moved, is gone or is new, run by run."""
    same = not other_facts(expected, now)
    moves = list(_differences("-", "labeler", expected.labeler, now.labeler))
    moves += _differences("-", "facts", *({"bench_version": m.facts["bench_version"]} for m in (expected, now)))
    for name in {**expected.runs, **now.runs}:
        if name not in now.runs or name not in expected.runs:
            known = name in expected.runs
            moves.append(Move(name, "facts", "run", "expected" if known else "-", "gone" if known else "new"))
        else:
            moves += _Run(name, expected.runs[name], now.runs[name], same).moves()
    return moves


def other_bases(expected: Measured, keys: Mapping[str, str]) -> list[Move]:
    """The runs whose base has another key: the code of the warm-up, its settings or its corpus changed. keys: of the
    runs now."""
    known = {name: expected.runs[name].exact.get("base_key") for name in keys if name in expected.runs}
    return [Move(name, "facts", "base_key", key, keys[name]) for name, key in known.items() if key != keys[name]]


def _differences(run: str, kind: str, then: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[Move]:
    for key in {**then, **here}:
        if then.get(key) != here.get(key):
            yield Move(run, kind, key, then.get(key), here.get(key))


@dataclass(frozen=True)
class _Run:
    """One run that both have."""

    name: str
    then: Numbers
    here: Numbers
    same: bool

    def moves(self) -> list[Move]:
        found = [*_differences(self.name, "facts", self.then.exact, self.here.exact), *self._bits(), *self._texts()]
        for key in {**self.then.values, **self.here.values}:
            found += self._value(key)
        return found

    @property
    def flips(self) -> int:
        return differing(self.then.texts, self.here.texts)

    def _bits(self) -> Iterator[Move]:
        """Hashes of what rounding moves count on the same machine; labels also where the texts are equal."""
        for move in _differences(self.name, "bits", self.then.bits, self.here.bits):
            counts = self.same or (move.key == "labels_sha256" and not self.flips)
            yield Move(move.run, move.kind, move.key, move.expected, move.now, 0.0 if counts else None, counts)

    def _texts(self) -> Iterator[Move]:
        count = len(self.then.texts)
        allowed = 0.0 if self.same else float(max(int(FLIPS * count), FLIPS_MARGIN * self.then.flips))
        if self.flips:
            yield Move(
                self.name, "texts", f"reports that differ, of {count}", 0, self.flips, allowed, self.flips > allowed
            )

    def _value(self, key: str) -> Iterator[Move]:
        before, after = self.then.values.get(key), self.here.values.get(key)
        kind = "rounds" if key.startswith(TRAINING) else "scores"
        if before is None or after is None:
            yield Move(self.name, kind, key, before, after, 0.0, after is None)
            return
        tolerance = self.tolerance(key)
        if not abs(after - before) <= EXACT * abs(before):
            too_far = tolerance is not None and not abs(after - before) <= tolerance
            yield Move(self.name, kind, key, before, after, tolerance, too_far)

    def tolerance(self, key: str) -> float | None:
        """Absolute tolerance of a value; None if it is not compared on this machine."""
        size = abs(self.then.values[key])
        if self.same:
            return EXACT * size
        tolerance = self._by_rounding(key) if _moved_by_rounding(key) else self._by_texts(size)
        return tolerance if tolerance <= MOST * size else None

    def _by_rounding(self, key: str) -> float:
        least = ONE_OF_MANY if key.rpartition("/")[2].startswith(HEAD) else LEAST
        return max(MARGIN * (self.then.spread or {}).get(key, 0.0), least * abs(self.then.values[key]))

    def _by_texts(self, size: float) -> float:
        return max(EXACT, 4 * self.flips / max(1, len(self.then.texts))) * size


def _moved_by_rounding(key: str) -> bool:
    """Whether a number depends on more than texts and labels."""
    metric = key.rpartition("/")[2]
    return key.startswith(TRAINING) or metric == LIKELIHOOD or metric.startswith(HEAD)
