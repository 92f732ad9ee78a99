"""Suite files, `benchmark/configs/suites/NAME.toml`: lists of algorithms, splits and seeds, with a preset, optional
`overrides` (k=v) and further parts `[[also]]` that inherit what they do not set."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.run import settings
from fedmrg_core.errors import choose

SUITES = settings.CONFIGS / "suites"
KEYS = {"algorithms", "splits", "seeds", "preset", "overrides"}


@dataclass(frozen=True)
class Task:
    """One experiment of a suite."""

    algorithm: str
    split: str
    seed: int
    preset: str
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.algorithm} {self.split} s{self.seed}"

    def config(self) -> settings.Config:
        """Its resolved settings. Raises ConfigError for a wrong name, value or type."""
        return settings.load(self.algorithm, self.split, self.preset, self.seed, self.overrides)


def suite_names() -> list[str]:
    """Every suite that has a file."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def read(name: str) -> list[Task]:
    """The tasks of a suite, each once. Raises ConfigError for a wrong name, value or type, before anything runs."""
    content = load(name)
    common = {key: value for key, value in content.items() if key in KEYS}
    parts = [common, *({**common, **part} for part in content.get("also", []))]
    for key in {key for part in (content, *content.get("also", [])) for key in part} - {"also", "tolerance"}:
        choose(f"key of suite {name}", key, KEYS)
    tasks = list(dict.fromkeys(task for part in parts for task in _tasks(part)))
    for task in tasks:
        task.config()
    return tasks


def load(name: str) -> dict[str, Any]:
    """The content of a suite's file."""
    with (SUITES / f"{choose('suite', name, suite_names())}.toml").open("rb") as file:
        return tomllib.load(file)


def _tasks(part: Mapping[str, Any]) -> Iterator[Task]:
    """Ordered so that the seeds of an algorithm follow each other: each seed has a base of its own to warm up."""
    for split in part["splits"]:
        for algorithm in part["algorithms"]:
            for seed in part["seeds"]:
                yield Task(algorithm, split, seed, part["preset"], tuple(part.get("overrides", ())))
