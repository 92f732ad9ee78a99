"""The phantom's settings as frozen dataclasses; phantom.toml has their values and explains each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any

from fedmrg_core.data.phantom.findings import PATHOLOGIES
from fedmrg_core.errors import ConfigError, choose, in_range, not_empty

Range = tuple[float, float]
"""Low and high over hospitals."""


def _check_range(name: str, value: Any, low: float, high: float = inf) -> None:
    """Raise ConfigError unless `value` is two numbers in order, both from `low` to `high`."""
    if not isinstance(value, tuple) or len(value) != 2 or not all(isinstance(end, int | float) for end in value):
        raise ConfigError(f"{name} = {value!r} is no range: two numbers are needed, the lower one first.")
    in_range(name, value[0], low, high)
    in_range(name, value[1], value[0], high)


@dataclass(frozen=True)
class ShiftKnobs:
    """How different hospitals are in image, text and prevalence: 0 = all alike, 1 = the full ranges. public: how
    varied the films of the public corpus are: 0 = one reference apparatus in the middle of the ranges."""

    image: float
    text: float
    prevalence: float
    public: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            in_range(f"shift.{name}", value, 0, 1)


@dataclass(frozen=True)
class CaseMixKnobs:
    """Who the patients are and how many findings they have. `profiles[kind][condition]` is a probability."""

    concentration: float
    weights: dict[str, float]
    most_findings: int
    both_sides: float
    faint: Range
    profiles: dict[str, Any]

    def __post_init__(self) -> None:
        in_range("case_mix.concentration", self.concentration, 0, above=True)
        in_range("case_mix.most_findings", self.most_findings, 1)
        in_range("case_mix.both_sides", self.both_sides, 0, 1)
        _check_range("case_mix.faint", self.faint, 0, 1)
        for kind, weight in self.weights.items():
            choose("kind of patient", kind, [name for name in self.profiles if name != "background"])
            in_range(f"case_mix.weights.{kind}", weight, 0)
        in_range("the sum of case_mix.weights", sum(self.weights.values()), 0, above=True)
        for kind, profile in self.profiles.items():
            for condition, share in profile.items() if isinstance(profile, dict) else [("", profile)]:
                in_range(f"case_mix.profiles.{kind} {condition}".rstrip(), share, 0, 1)


@dataclass(frozen=True)
class TextKnobs:
    """Reporting habits; all are probabilities but `habit` (Dirichlet alpha) and `thoroughness` (spread)."""

    habit: float
    telegraphic: Range
    headings: Range
    negatives: Range
    thoroughness: float
    join: Range
    technique: Range
    filler: Range
    impression: Range
    omit: Range
    order_mix: Range
    salience: dict[str, float]

    def __post_init__(self) -> None:
        in_range("text.habit", self.habit, 0, above=True)
        in_range("text.thoroughness", self.thoroughness, 0)
        for condition, weight in self.salience.items():
            choose("condition", condition, PATHOLOGIES)
            in_range(f"text.salience.{condition}", weight, 0)
        for name, value in vars(self).items():
            if name not in ("habit", "thoroughness", "salience"):
                _check_range(f"text.{name}", value, 0, 1)


@dataclass(frozen=True)
class ImageKnobs:
    """Image characteristics, each a range over hospitals."""

    gamma: Range
    contrast: Range
    offset: Range
    noise: Range
    grain: Range
    blur: Range
    native: Range
    sharpen: Range
    vignette: Range
    collimation: Range
    background: Range
    zoom: Range
    exposure: Range
    off_centre: Range
    marker: Range

    def __post_init__(self) -> None:
        least = {"offset": -1.0, "gamma": 0.05, "contrast": 0.05, "zoom": 0.05, "native": 8.0}
        for name, value in vars(self).items():
            _check_range(f"image.{name}", value, least.get(name, 0.0))


@dataclass(frozen=True)
class FilmKnobs:
    """How strongly findings and lung markings show."""

    finding: float
    faint: float
    texture: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            in_range(f"film.{name}", value, 0)


@dataclass(frozen=True)
class PhantomConfig:
    """All knobs. `PhantomConfig.load()` gives the defaults, `load(path)` or `load(overrides=..)` changes some."""

    version: str
    unseen_from: int
    sizes: tuple[int, ...]
    studies_per_patient: tuple[float, ...]
    shift: ShiftKnobs
    case_mix: CaseMixKnobs
    text: TextKnobs
    image: ImageKnobs
    film: FilmKnobs

    def __post_init__(self) -> None:
        not_empty("sizes", self.sizes)
        for size in self.sizes:
            in_range("sizes", size, 1, unit="studies of a hospital")
        in_range("unseen_from", self.unseen_from, 1, len(self.sizes))
        for share in self.studies_per_patient:
            in_range("studies_per_patient", share, 0, 1)
        in_range("the sum of studies_per_patient", sum(self.studies_per_patient), 0, above=True)

    @classmethod
    def load(cls, path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> PhantomConfig:
        """The defaults, changed by a TOML file and then by a nested mapping such as ``{"shift": {"image": 0.0}}``.
        Raises ConfigError on an unknown name or a wrong shape."""
        table = _defaults()
        for extra in (tomllib.loads(path.read_text(encoding="utf-8")) if path else {}, overrides or {}):
            table = _merge(table, extra, "")
        return _build(table)

    @property
    def hospitals(self) -> tuple[str, ...]:
        """Hospital names, h01 first."""
        return tuple(f"h{index + 1:02d}" for index in range(len(self.sizes)))

    @property
    def unseen(self) -> tuple[str, ...]:
        """The hospitals that take no part in training."""
        return self.hospitals[self.unseen_from :]


@cache
def _default_text() -> str:
    return files(__package__).joinpath("phantom.toml").read_text(encoding="utf-8")


def _defaults() -> dict[str, Any]:
    return tomllib.loads(_default_text())


def _merge(base: dict[str, Any], extra: Mapping[str, Any], where: str) -> dict[str, Any]:
    free = where in ("weights", "profiles", "salience") or where in base.get("profiles", {})
    merged = dict(base)
    for name, value in extra.items():
        if not free:
            choose("phantom setting", name, base)
        inner = base.get(name)
        if isinstance(inner, dict) and not isinstance(value, Mapping):
            raise ConfigError(f"phantom setting '{name}' is a table, not {value!r}.")
        merged[name] = _merge(inner, value, name) if isinstance(inner, dict) else value
    return merged


def _frozen(kind: Any, table: Mapping[str, Any]) -> Any:
    values = {field.name: table[field.name] for field in fields(kind)}
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def _build(table: dict[str, Any]) -> PhantomConfig:
    parts = {"shift": ShiftKnobs, "case_mix": CaseMixKnobs, "text": TextKnobs, "image": ImageKnobs, "film": FilmKnobs}
    built: PhantomConfig = _frozen(PhantomConfig, table | {n: _frozen(kind, table[n]) for n, kind in parts.items()})
    return built
