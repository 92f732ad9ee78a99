"""What MLflow shows of a run: names, tags, note, data, headline numbers, hospitals, samples, figures and model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.run import saved_views
from benchmark.run.headline import COSTS, CURVES, HEADLINES, headlines, intervals, of_hospitals
from fedmrg_core.errors import FedMRGError, one_line
from fedmrg_core.runfolder import ARTIFACTS, RunFolder
from fedmrg_core.tracking import Dataset, Description, Tracker
from fedmrg_core.tracking.content import flatten

if TYPE_CHECKING:
    from fedmrg_core.data.cache.federation import Federation

Result = Mapping[str, Any]
SAMPLES = "samples.json"
UNLISTED = ("engine", "data", "evaluate")
"""Sections of the settings that decide nothing that is trained: left to `config.json`, so that fewer lines compare."""


def experiment_name(result: Result) -> str:
    """Runs of one split and preset. No slash: MLflow's breadcrumb hides what is before it.

    >>> experiment_name({"split": "phantom/group", "preset": "tiny"})
    'phantom-group tiny'
    """
    return f"{result['split']} {result['preset']}".replace("/", "-")


def describe(result: Result, system: bool = False) -> Description:
    """Of a run that begins or has ended, from keys that a result always has: run_id, algorithm, split, preset, seed,
    config and, if known, config_hash, provenance and scores. system: log the machine's load from now on."""
    group = variant(result)
    return Description(
        run_id=str(result["run_id"]),
        experiment=experiment_name(result),
        name=f"{group} s{result['seed']}",
        group=group,
        note=note(result),
        params=flatten({name: values for name, values in result["config"].items() if name not in UNLISTED}),
        tags=_tags(result, group),
        experiment_tags=saved_views.tags(),
        experiment_note=_experiment_note(result),
        datasets=list(_datasets(result)),
        system=system,
    )


def variant(result: Result) -> str:
    """The algorithm's name; with a part of the config hash where the settings are not the preset's own, so that means
    over seeds are over equal settings."""
    known, name = str(result.get("config_hash", "")), str(result["algorithm"])
    return name if known in ("", _usual_hash(result)) else f"{name} {known[:4]}"


def _usual_hash(result: Result) -> str:
    from benchmark.run import settings

    try:
        return settings.load(result["algorithm"], result["config"]["run"]["split"], result["preset"]).hash()
    except (FedMRGError, LookupError, TypeError):  # of another version of this program
        return ""


def _tags(result: Result, group: str) -> dict[str, str]:
    provenance = result.get("provenance", {})
    known = {key: result[key] for key in ("algorithm", "split", "preset", "seed")}
    known |= {"group": group, "status": result.get("status") if result.get("scores") else "running"}
    known |= {"git": str(provenance.get("git_sha", ""))[:10], "dirty": provenance.get("dirty")}
    known |= {"device": provenance.get("device"), "config_hash": result.get("config_hash")}
    known |= {"bench_version": result.get("bench_version")}
    known |= {"command": _command(result), "mlflow.source.name": "fedmrg bench", "mlflow.source.type": "LOCAL"}
    known |= {"mlflow.source.git.commit": provenance.get("git_sha")}
    return {key: str(value) for key, value in known.items() if value not in (None, "")}


def _command(result: Result) -> str:
    given = {**result, "algo": result["algorithm"], "split": result["config"]["run"]["split"]}
    return " ".join(["fedmrg bench", *(f"--{name} {given[name]}" for name in ("algo", "split", "preset", "seed"))])


def _datasets(result: Result) -> Iterator[Dataset]:
    """The studies, their division into hospitals and parts, and the base, by their SHA-256."""
    provenance, split = result.get("provenance", {}), str(result["split"])
    kinds = {"data_sha256": ("", "data"), "split_sha256": (" split", "split"), "model_sha256": (" base", "base")}
    for key, (suffix, context) in kinds.items():
        if digest := str(provenance.get(key) or ""):
            facts = {key: digest, "seed": result["seed"]}
            yield Dataset(f"{split}{suffix}"[:500], digest[:10], context, split, facts)


def note(result: Result) -> str:
    """Markdown: what was run, and its headline scores with their intervals."""
    head = f"`{result['run_id']}`: {result['algorithm']} on {result['split']}, preset {result['preset']}, seed "
    lines = [f"{head}{result['seed']}"]
    values = headlines(result) if result.get("scores") else {}
    if values:
        lines += ["", "| | value | 95 % interval | what |", "|---|---:|---|---|"]
    meanings, ranges = {one.name: one.meaning for one in HEADLINES} | COSTS, intervals(result)
    for name, value in values.items():
        lines.append(f"| `{name}` | {value:.4g} | {ranges.get(name, '')} | {meanings[name]} |")
    lines += ["", *_hospital_lines(of_hospitals(result))]
    lines += ["", "All scores: artefact `result.json`."] if values else []
    return "\n".join(lines).strip()


def _hospital_lines(hospitals: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = list(dict.fromkeys(name for own in hospitals.values() for name in own))
    if not names:
        return []
    head = [f"| hospital | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for hospital, own in hospitals.items():
        cells = [_cell(hospital), *(f"{own[name]:.4g}" if name in own else "" for name in names)]
        head.append(f"| {' | '.join(cells)} |")
    return head


def _cell(text: str) -> str:
    """A hospital's name as a cell of a Markdown table."""
    return one_line(text, 60).replace("|", "/")


def _experiment_note(result: Result) -> str:
    meanings = {one.name: one.meaning for one in HEADLINES} | COSTS | CURVES
    return "\n".join(
        [
            f"Federated medical report generation on {result['split']}, preset {result['preset']}.",
            "Saved views (`fedmrg ui` prints their links):",
            *(f"- `{name}`: {view.meaning}" for name, view in saved_views.VIEWS.items()),
            "",
            "| metric | meaning |",
            "|---|---|",
            *(f"| `{name}` | {meaning} |" for name, meaning in meanings.items()),
        ]
    )


def feed(
    tracker: Tracker,
    result: Result,
    folder: RunFolder,
    federation: Callable[[], Federation | None],
    export: Callable[[Path], bool] | None = None,
) -> None:
    """Everything that MLflow gets of a run that has ended. federation: read only where its films or name are needed;
    None where it cannot be had. export: writes the whole model into a folder; None = log what was trained alone."""
    rows = folder.rounds()
    tracker.log_metrics(len(rows), headlines(result) if result.get("scores") else {})
    tracker.log_hospitals(len(rows), of_hospitals(result))
    tracker.set_tags({"status": str(result["status"])}, note(result))
    tracker.log_artifacts([folder.path / name for name in ARTIFACTS])
    if result.get("scores"):
        tracker.log_pictures(partial(_figures, rows, of_hospitals(result)), "figures")
        tracker.log_table(partial(_samples, folder.path, federation), SAMPLES)
        name = f"{variant(result)} s{result['seed']}".replace(" ", "-")
        small = result["config"].get("model", {}).get("lm") == "tiny"  # others take minutes and GB to load again
        tracker.log_model(name, partial(_model, folder.path, federation, export if small else None))


def _figures(rows: Sequence[Result], hospitals: Mapping[str, Mapping[str, float]]) -> dict[str, bytes]:
    from benchmark.run.figures import agreement, curves, heat_map

    drawn = {"curves.png": curves(rows), "hospitals.png": heat_map(hospitals), "agreement.png": agreement(rows)}
    return {name: png for name, png in drawn.items() if png}


def _samples(folder: Path, federation: Callable[[], Federation | None]) -> dict[str, list[Any]]:
    from benchmark.run.samples import samples

    known = federation()
    return samples(folder, known) if known else {}


def _model(
    folder: Path,
    federation: Callable[[], Federation | None],
    export: Callable[[Path], bool] | None,
    target: Path,
) -> bool:
    """Write the model, if the data is open to everybody; False: there is none."""
    from benchmark.run.samples import is_open, write_shared

    known = federation()
    if known is None or not is_open(known):
        return False
    return bool(export and export(target)) or write_shared(folder, target)
