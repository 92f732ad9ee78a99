"""The JSON and the printed table of `fedmrg score`: scores by group and text convention, pooled and by hospital."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fedmrg_core.errors import one_line
from fedmrg_core.metrics.catalogue import PREFIXES, RADEVAL, Metric, find, group, shown

if TYPE_CHECKING:
    from fedmrg_core.metrics.stats import Score

PART = "test/global"
"""The part and view of all rows of a file; the scorecard needs one."""


def contents(
    scores: Mapping[str, Score], missing: Mapping[str, str], n: int, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """The JSON of `fedmrg score`: by group (nlg by text convention), the same per hospital, and over hospitals."""
    pooled: dict[str, Any] = {"n": n, "nlg": {"r2gen": {}, "ptb": {}, "as_written": {}}, "ce": {}, "diversity": {}}
    hospitals: dict[str, Any] = {}
    over: dict[str, Any] = {}
    for key, score in scores.items():
        name = key.removeprefix(f"{PART}/")
        hospital, _, metric = name.rpartition("/")
        if hospital:
            own = hospitals.setdefault(hospital, {"n": score.n, "nlg": {}, "ce": {}, "diversity": {}})
            _add(own, metric, score)
        elif name.startswith(tuple(PREFIXES)):
            over[name] = asdict(score)
        else:
            _add(pooled, name, score)
    if len(hospitals) > 1:
        pooled |= {"hospitals": hospitals, "over_hospitals": over}
    return pooled | {"missing": dict(missing), "notes": list(notes)}


def _add(target: dict[str, Any], key: str, score: Score) -> None:
    metric = find(key)
    if metric.group == "nlg":
        target["nlg"].setdefault(metric.convention.replace(" ", "_"), {})[metric.name] = asdict(score)
    else:
        target.setdefault(metric.group, {})[key.removeprefix(RADEVAL)] = asdict(score)


def score_text(content: Mapping[str, Any]) -> str:
    """The printed table: values with their 95 % intervals, the text conventions side by side."""
    lines = [f"{content['n']} reports; value [95 % interval]", "", f"{'':<26}{'r2gen':>26}{'ptb':>26}"]
    nlg = content["nlg"]
    for name in dict.fromkeys(metric.name for metric in group("nlg")):
        first = nlg["r2gen"].get(name) or nlg["as_written"].get(name)
        lines.append(f"{name:<26}{_cell(first):>26}{_cell(nlg['ptb'].get(name)):>26}".rstrip())
    lines += ["", f"{'':<26}{'positive':>26}{'or uncertain':>26}"]
    for name in [key for key in content["ce"] if not key.endswith("_unc") and find(key).by_hospital]:
        cells = _cell(content["ce"][name]), _cell(content["ce"].get(f"{name}_unc"))
        lines.append(f"{name:<26}{cells[0]:>26}{cells[1]:>26}".rstrip())
    lines.append("")
    for other in ("diversity", "phantom", "head", "radeval", "other"):
        lines += [f"{name:<26}{_cell(score):>26}" for name, score in content.get(other, {}).items()]
    lines += [*_hospital_lines(content), *(f"note: {note}" for note in content["notes"])]
    return "\n".join([*lines, *(f"not scored: {name} ({one_line(why)})" for name, why in content["missing"].items())])


def _hospital_lines(content: Mapping[str, Any]) -> Iterator[str]:
    if "hospitals" not in content:
        return
    metrics = [metric for metric in shown("hospitals") if not metric.prefix]
    yield f"\n{'hospital':<26}{'n':>6}" + "".join(f"{metric.title:>26}" for metric in metrics)
    for name, own in content["hospitals"].items():
        cells = [_cell(_score_of(own, metric)) for metric in metrics]
        yield f"{one_line(name, 25):<26}{own['n']:>6}" + "".join(f"{cell:>26}" for cell in cells)
    for prefix in ("mean", "worst", "spread"):
        cells = [_cell(content["over_hospitals"].get(f"{prefix}_{metric.key}")) for metric in metrics]
        yield f"{prefix:<26}{'':>6}" + "".join(f"{cell:>26}" for cell in cells)


def _score_of(content: Mapping[str, Any], metric: Metric) -> Mapping[str, Any] | None:
    """A metric's score, from where `_add` put it."""
    scores = content.get(metric.group, {})
    if metric.group == "nlg":
        scores = scores.get(metric.convention.replace(" ", "_"), {})
    found: Mapping[str, Any] | None = scores.get(metric.name)
    return found


def _cell(score: Mapping[str, Any] | None) -> str:
    return f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]" if score else ""
