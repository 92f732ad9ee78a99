"""What `fedmrg score` writes and prints: scores by kind and text convention, pooled, by hospital, over hospitals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedmrg_core.metrics.stats import Score

PART = "test/global"
"""The scorecard wants a part and a view; a file has one of each."""
_SHOWN = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rougeL", "cider", "rouge1", "rouge2", "rougeLsum")
_RADEVAL = "radeval_"


def contents(
    scores: Mapping[str, Score], missing: Mapping[str, str], n: int, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """The JSON of `fedmrg score`: nlg by text convention, ce, diversity, the same by hospital, and over hospitals."""
    pooled: dict[str, Any] = {"n": n, "nlg": {"r2gen": {}, "ptb": {}, "as_written": {}}, "ce": {}, "diversity": {}}
    hospitals: dict[str, Any] = {}
    over: dict[str, Any] = {}
    for key, score in scores.items():
        name = key.removeprefix(f"{PART}/")
        hospital, _, metric = name.rpartition("/")
        if hospital:
            own = hospitals.setdefault(hospital, {"n": score.n, "nlg": {}, "ce": {}, "diversity": {}})
            _place(own, metric, score)
        elif name.startswith(("mean_", "worst_", "spread_")):
            over[name] = asdict(score)
        else:
            _place(pooled, name, score)
    if len(hospitals) > 1:
        pooled |= {"hospitals": hospitals, "over_hospitals": over}
    return pooled | {"missing": dict(missing), "notes": list(notes)}


def _place(target: dict[str, Any], metric: str, score: Score) -> None:
    if metric.startswith("ce_"):
        target["ce"][metric] = asdict(score)
    elif metric in ("distinct", "verbatim"):
        target["diversity"][metric] = asdict(score)
    elif metric.startswith(_RADEVAL):
        target.setdefault("radeval", {})[metric.removeprefix(_RADEVAL)] = asdict(score)
    else:
        convention = "ptb" if metric.endswith("_ptb") else "as_written" if metric in _SHOWN[-3:] else "r2gen"
        target["nlg"].setdefault(convention, {})[metric.removesuffix("_ptb")] = asdict(score)


def score_text(content: Mapping[str, Any]) -> str:
    """The printed table: values with their 95 % intervals, the text conventions side by side."""
    lines = [f"{content['n']} reports; value [95 % interval]", "", f"{'':<26}{'r2gen':>26}{'ptb':>26}"]
    for name in _SHOWN:
        nlg = content["nlg"]
        first = nlg["r2gen"].get(name) or nlg["as_written"].get(name)
        lines.append(f"{name:<26}{_cell(first):>26}{_cell(nlg['ptb'].get(name)):>26}".rstrip())
    lines += ["", f"{'':<26}{'positive':>26}{'or uncertain':>26}"]
    for name in [key for key in content["ce"] if not key.endswith("_unc")]:
        cells = _cell(content["ce"][name]), _cell(content["ce"].get(f"{name}_unc"))
        lines.append(f"{name:<26}{cells[0]:>26}{cells[1]:>26}".rstrip())
    lines += ["", *(f"{name:<26}{_cell(score):>26}" for name, score in content["diversity"].items())]
    lines += [f"{name:<26}{_cell(score):>26}" for name, score in content.get("radeval", {}).items()]
    lines += [*_hospital_lines(content), *(f"note: {note}" for note in content["notes"])]
    return "\n".join([*lines, *(f"not scored: {name} ({why})" for name, why in content["missing"].items())])


def _hospital_lines(content: Mapping[str, Any]) -> Iterator[str]:
    if "hospitals" not in content:
        return
    yield f"\n{'hospital':<26}{'n':>6}{'BLEU-4':>26}{'CE F1 micro':>26}"
    for name, own in content["hospitals"].items():
        bleu, f1 = own["nlg"]["r2gen"].get("bleu4"), own["ce"].get("ce_f1_micro14")
        yield f"{name:<26}{own['n']:>6}{_cell(bleu):>26}{_cell(f1):>26}"
    for prefix in ("mean", "worst", "spread"):
        cells = [_cell(content["over_hospitals"].get(f"{prefix}_{metric}")) for metric in ("bleu4", "ce_f1_micro14")]
        yield f"{prefix:<26}{'':>6}{cells[0]:>26}{cells[1]:>26}"


def _cell(score: Mapping[str, Any] | None) -> str:
    return f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]" if score else ""
