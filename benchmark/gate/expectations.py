"""`leaderboards/expected/SUITE.json`: the numbers of a suite's runs, their spread, and the machine that made them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmrg_core.errors import DataError, first_line, one_line

SCHEMA = 2
_KEYS = {"schema_version", "bench_version", "suite", "git_sha", "machine", "spread_of", "labeler", "runs"}


@dataclass(frozen=True)
class Numbers:
    """What a run is compared by.

    exact: facts that are the same on every machine. bits: hashes that are the same on one type of machine. texts: a
    code of each generated report. values: numbers that differ between machines by rounding. spread: by how much each
    value was seen to differ; absent = not at all. flips: the largest number of reports that were seen to differ.
    """

    exact: Mapping[str, Any]
    bits: Mapping[str, str]
    texts: Sequence[str]
    values: Mapping[str, float]
    spread: Mapping[str, float] | None = None
    flips: int = 0


@dataclass(frozen=True)
class Measured:
    """All that a suite is compared by. facts: bench_version, suite and git_sha. spread_of: the names of the variants
    that the spread is of. labeler: golden sentence -> label states."""

    facts: Mapping[str, str]
    machine: Mapping[str, str]
    labeler: Mapping[str, str]
    runs: Mapping[str, Numbers]
    spread_of: Sequence[str] = ()


def with_spread(plain: Measured, variants: Mapping[str, Measured]) -> Measured:
    """The plain numbers with the spread that the variants show."""
    runs = {}
    for name, run in plain.runs.items():
        others = [variant.runs[name] for variant in variants.values()]
        moved = {
            key: max((abs(other.values[key] - value) for other in others), default=0.0)
            for key, value in run.values.items()
        }
        flips = max((differing(run.texts, other.texts) for other in others), default=0)
        runs[name] = Numbers(run.exact, run.bits, run.texts, run.values, {k: v for k, v in moved.items() if v}, flips)
    return Measured(plain.facts, plain.machine, plain.labeler, runs, tuple(variants))


def differing(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of two runs' reports differ; all, if their numbers do."""
    if len(one) != len(other):
        return max(len(one), len(other))
    return sum(left != right for left, right in zip(one, other, strict=True))


def as_text(measured: Measured) -> str:
    """The file's content: a line per value, so that a change is easy to review."""
    head = {
        "schema_version": SCHEMA,
        **measured.facts,
        "machine": dict(measured.machine),
        "spread_of": list(measured.spread_of),
        "labeler": dict(measured.labeler),
    }
    runs = ",\n".join(f"  {json.dumps(name)}: {_run_text(run)}" for name, run in measured.runs.items())
    return json.dumps(head, indent=1)[:-2] + ',\n "runs": {\n' + runs + "\n }\n}\n"


def _run_text(run: Numbers) -> str:
    spread = run.spread or {}
    values = [
        f"    {json.dumps(key)}: {json.dumps([value, *_known(spread.get(key))])}" for key, value in run.values.items()
    ]
    facts = [f'   "{name}": {json.dumps(dict(part))}' for name, part in (("exact", run.exact), ("bits", run.bits))]
    texts = [f'   "texts": {json.dumps(" ".join(run.texts))}', f'   "flips": {run.flips}']
    return "{\n" + ",\n".join([*facts, *texts, '   "values": {\n' + ",\n".join(values) + "\n   }"]) + "\n  }"


def _known(spread: float | None) -> list[float]:
    return [] if spread is None else [float(f"{spread:.1e}")]


def read(path: Path) -> Measured:
    """The content of a file. Raises DataError, with its name, where it is damaged or of another version."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.get("schema_version") != SCHEMA:
            raise DataError("is of another version of this program; renew it: `fedmrg regress --update`", str(path))
        if found.keys() != _KEYS:
            raise ValueError(f"other keys than {', '.join(sorted(_KEYS))}")
        facts = {name: str(found[name]) for name in ("bench_version", "suite", "git_sha")}
        runs = {name: _run(run) for name, run in found["runs"].items()}
        return Measured(facts, dict(found["machine"]), dict(found["labeler"]), runs, tuple(found["spread_of"]))
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"holds no expectations ({one_line(first_line(error))})", str(path)) from error


def _run(found: Mapping[str, Any]) -> Numbers:
    values = {key: float(pair[0]) for key, pair in found["values"].items()}
    spread = {key: float(pair[1]) for key, pair in found["values"].items() if len(pair) > 1}
    return Numbers(
        dict(found["exact"]), dict(found["bits"]), found["texts"].split(), values, spread, int(found["flips"])
    )
