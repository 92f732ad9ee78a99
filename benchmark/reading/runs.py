"""The runs of a page: finished, of the same data, division and seed, and of data whose text may be shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.run.options import Options
from benchmark.run.rescore import prepared, stored
from fedmrg_core.errors import ConfigError, DataError, in_range
from fedmrg_core.runfolder import RunFolder, run_folder

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.data.cache.federation import Federation

MOST_RUNS = 8
"""More texts than this nobody reads side by side."""
ALIKE = {"data_sha256": "other data", "split_sha256": "another division into hospitals"}
"""Hashes of the provenance that all runs share, with what it means if one differs."""


@dataclass(frozen=True)
class Run:
    """A finished run. name: its algorithm, with the end of its id where several runs are of one algorithm.
    generations: the rows of `generations.parquet`."""

    name: str
    result: dict[str, Any]
    generations: pd.DataFrame

    @property
    def run_id(self) -> str:
        return str(self.result["run_id"])


def load(run_ids: Sequence[str], options: Options) -> tuple[tuple[Run, ...], Federation]:
    """The runs, in the order given, each once, and the federation that they share.

    Raises:
        ConfigError: no such run, too many, or one of another seed.
        DataError: a run of other data, of private or credentialed data, or with a damaged file.
        FedMRGError: a run that is not finished.
    """
    ids = list(dict.fromkeys(run_ids))
    in_range("runs on one page", len(ids), 1, MOST_RUNS)
    folders = [run_folder(options.runs, run_id) for run_id in ids]
    for folder in folders:
        _check_shown(RunFolder(folder).finished_result(), folder.name)
    found = [stored(folder) for folder in folders]
    results = [result for result, _ in found]
    for other in results[1:]:
        _check_alike(results[0], other)
    _, federation = prepared(results[0], options.cache)
    if federation.credentialed:  # whatever allow_text says: a page is a file to pass on
        raise DataError(_hidden(ids[0]))
    runs = (Run(name, *one) for name, one in zip(_names(results), found, strict=True))
    return tuple(runs), federation


def _check_shown(result: dict[str, Any], run_id: str) -> None:
    """Refuse a run whose result does not say that its text may be shown."""
    if result["provenance"].get("private") is not False:
        raise DataError(_hidden(run_id))


def _hidden(run_id: str) -> str:
    return f"run {run_id} is of private or credentialed data: no page shows its reports"


def _check_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Refuse two runs whose studies are not the same."""
    first, second = one["run_id"], other["run_id"]
    if one["seed"] != other["seed"]:
        seeds = f"run {second} has seed {other['seed']}, run {first} seed {one['seed']}"
        raise ConfigError(f"{seeds}: give runs of one seed.")
    for key, meaning in ALIKE.items():
        if one["provenance"].get(key) != other["provenance"].get(key):
            raise DataError(f"run {second} has {meaning} than run {first}: their reports are not of the same studies")


def _names(results: Sequence[dict[str, Any]]) -> list[str]:
    counts = Counter(result["algorithm"] for result in results)
    return [
        result["algorithm"] if counts[result["algorithm"]] == 1 else f"{result['algorithm']} {result['run_id'][-4:]}"
        for result in results
    ]
