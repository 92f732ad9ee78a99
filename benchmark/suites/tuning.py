"""Tuning on validation: `benchmark/configs/tuning.toml` says what is searched; choices are stored with all trials in
`benchmark/configs/tuned/<preset>/`."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.run import settings
from benchmark.run.options import BENCH_VERSION
from benchmark.suites.plan import Task
from fedmrg_core.errors import ConfigError, DataError, choose
from fedmrg_core.files import write_atomic
from fedmrg_core.metrics.catalogue import find

SEARCH = settings.CONFIGS / "tuning.toml"
VIEW = "val/personal"
"""The leading view: that of the shared model, where an algorithm has no personal part."""


@dataclass(frozen=True)
class Search:
    """The content of `tuning.toml`."""

    split: str
    preset: str
    seed: int
    budget: int
    criteria: tuple[str, ...]
    grids: Mapping[str, Mapping[str, Sequence[Any]]]

    @staticmethod
    def load(path: Path = SEARCH) -> Search:
        """Raises ConfigError where a grid does not have `budget` points."""
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        search = Search(**{**content, "criteria": tuple(content["criteria"])})
        for name, grid in search.grids.items():
            points = len(list(itertools.product(*grid.values())))
            if points != search.budget:
                raise ConfigError(f"{path.name}: grid {name} has {points} points; all have {search.budget}.")
        return search

    def grid(self, config: settings.Config) -> Mapping[str, Sequence[Any]]:
        """What an algorithm searches."""
        return self.grids.get(config.name) or self.grids["lora" if config.tuning.lora else "full"]


@dataclass(frozen=True)
class Trial:
    """One point of a grid: its settings, and its scores once it was run."""

    settings: Mapping[str, Any]
    task: Task
    scores: Mapping[str, float] | None = None

    @property
    def text(self) -> str:
        return ", ".join(f"{key} = {value}" for key, value in self.settings.items())

    def identity(self) -> list[str]:
        """What decides its scores."""
        return [BENCH_VERSION, self.task.config().hash()]


def trials(search: Search, algorithm: str) -> list[Trial]:
    """The trials of an algorithm, those that were run with their scores. Raises ConfigError for a trivial row."""
    choose("algorithm", algorithm, settings.algorithm_names())
    config = settings.load(algorithm, search.split, search.preset, search.seed)
    if not config.algorithm.trains:
        raise ConfigError(f"'{algorithm}' does not train: there is nothing to tune.")
    rounds = max(1, config.train.rounds // 2)
    known = {tuple(one["identity"]): one["scores"] for one in _stored(search, algorithm)}
    found = []
    for point in _points(search.grid(config)):
        changes = [f"{key}={value}" for key, value in point.items()]
        overrides = (f"train.rounds={rounds}", 'evaluate.parts=["val"]', "evaluate.resamples=0", *changes)
        task = Task(algorithm, search.split, search.seed, search.preset, overrides)
        trial = Trial(point, task)
        found.append(replace(trial, scores=known.get(tuple(trial.identity()))))
    return found


def _points(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def scores_of(search: Search, result: Mapping[str, Any]) -> dict[str, float]:
    """A trial's scores by criterion."""
    return {key: float(result["scores"][f"{VIEW}/{key}"]["value"]) for key in search.criteria}


def best(search: Search, run: Sequence[Trial]) -> Trial:
    """The trial with the least sum of ranks over the criteria, the first of equals. Equal scores share their rank."""
    scores = [trial.scores or {} for trial in run]
    sums = [0] * len(run)
    for key in search.criteria:
        sign = -1 if find(key).higher_is_better else 1
        values = [sign * score[key] for score in scores]
        for at, value in enumerate(values):
            sums[at] += sum(other < value for other in values)
    return run[min(range(len(run)), key=lambda at: (sums[at], at))]


def store(search: Search, algorithm: str, run: Sequence[Trial]) -> Path:
    """Write the trials that were run; once all were, the choice too. Returns the file of the choice."""
    done = [trial for trial in run if trial.scores]
    rows = [{"settings": t.settings, "scores": t.scores, "identity": t.identity()} for t in done]
    write_atomic(_trials_file(search, algorithm), (json.dumps(rows, indent=1) + "\n").encode())
    path = settings.tuned_file(algorithm, search.preset)
    if len(done) == len(run):
        write_atomic(path, _choice(search, algorithm, best(search, run)).encode())
    return path


def _choice(search: Search, algorithm: str, trial: Trial) -> str:
    lines = [f"# `fedmrg tune {algorithm}` chose this among {search.budget} trials on validation, draw {search.seed}."]
    sections: dict[str, list[str]] = {}
    for key, value in trial.settings.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
    for section, values in sections.items():
        lines += ["", f"[{section}]", *values]
    return "\n".join([*lines, ""])


def _trials_file(search: Search, algorithm: str) -> Path:
    return settings.tuned_file(algorithm, search.preset).with_suffix(".trials.json")


def _stored(search: Search, algorithm: str) -> list[dict[str, Any]]:
    path = _trials_file(search, algorithm)
    if not path.exists():
        return []
    try:
        return list(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"is no list of trials ({error}): remove it, and tune again", str(path)) from None
