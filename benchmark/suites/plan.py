"""Suite files, `benchmark/configs/suites/NAME.toml`: lists of algorithms, splits and seeds, with a preset, optional
`overrides` (k=v), `tuned = true` (settings that `fedmrg tune` chose) and further parts `[[also]]` that inherit what
they do not set."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.run import settings
from fedmrg_core.errors import ConfigError, choose, first_line, one_line

SUITES = settings.CONFIGS / "suites"
LISTS = {"algorithms": str, "splits": str, "seeds": int, "overrides": str}
KEYS = {*LISTS, "preset", "tuned"}
REQUIRED = ("algorithms", "splits", "seeds", "preset")
MOST_TASKS = 10_000


@dataclass(frozen=True)
class Task:
    """One experiment of a suite."""

    algorithm: str
    split: str
    seed: int
    preset: str
    overrides: tuple[str, ...] = ()
    tuned: bool = False

    @property
    def name(self) -> str:
        return f"{self.algorithm} {self.split} s{self.seed}"

    def config(self) -> settings.Config:
        """Its resolved settings. Raises ConfigError for a wrong name, value or type."""
        return settings.load(self.algorithm, self.split, self.preset, self.seed, self.overrides, self.tuned)


def suite_names() -> list[str]:
    """Every suite that has a file."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def read(name: str) -> list[Task]:
    """The tasks of a suite, each once. Raises ConfigError for a wrong name, value or type, before anything runs."""
    content = load(name)
    further = content.pop("also", [])
    if not isinstance(further, list) or not all(isinstance(part, dict) for part in further):
        raise ConfigError(f"suite {name}: 'also' is written as [[also]]")
    parts = [content, *({**content, **part} for part in further)]
    for part in parts:
        _check(name, part)
    tasks = list(dict.fromkeys(task for part in parts for task in _tasks(part)))
    for task in tasks:
        config = task.config()
        if (config.run.split, config.run.preset, config.run.seed) != (task.split, task.preset, task.seed):
            raise ConfigError(f"suite {name}: split, preset and seed are keys of their own, not overrides.")
    return tasks


def load(name: str) -> dict[str, Any]:
    """The content of a suite's file. Raises ConfigError if it is no TOML."""
    path = SUITES / f"{choose('suite', name, suite_names())}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a suite file ({one_line(first_line(error))})") from error


def _check(name: str, part: Mapping[str, Any]) -> None:
    """Raise ConfigError for an unknown or missing key, or for a value of another type or out of range."""
    for key in part:
        choose(f"key of suite {name}", key, KEYS)
    missing = [key for key in REQUIRED if key not in part]
    if missing:
        raise ConfigError(f"suite {name} lacks {', '.join(missing)}.")
    for key, kind in LISTS.items():
        values = part.get(key, [])
        right = isinstance(values, list) and all(type(value) is kind for value in values)
        if not right or (not values and key in REQUIRED):
            raise ConfigError(f"suite {name}: {key} = {values!r}; allowed: a list of {_NAMES[kind]}.")
    if min(part["seeds"]) < 0:
        raise ConfigError(f"suite {name}: seeds = {part['seeds']}; allowed: 0 or more.")
    if type(part["preset"]) is not str:
        raise ConfigError(f"suite {name}: preset = {part['preset']!r}; allowed: the name of a preset.")
    if type(part.get("tuned", False)) is not bool:
        raise ConfigError(f"suite {name}: tuned = {part['tuned']!r}; allowed: true, false.")
    count = len(part["algorithms"]) * len(part["splits"]) * len(part["seeds"])
    if count > MOST_TASKS:
        raise ConfigError(f"suite {name} has {count} experiments; allowed: up to {MOST_TASKS}.")


_NAMES = {str: "one or more texts", int: "one or more whole numbers"}


def _tasks(part: Mapping[str, Any]) -> Iterator[Task]:
    """Ordered so that the seeds of an algorithm follow each other: each seed has a base of its own to warm up."""
    for split in part["splits"]:
        for algorithm in part["algorithms"]:
            for seed in part["seeds"]:
                tuned = part.get("tuned", False)
                yield Task(algorithm, split, seed, part["preset"], tuple(part.get("overrides", ())), tuned)
