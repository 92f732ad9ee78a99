"""The phantom's settings as frozen dataclasses; phantom.toml has their values and explains each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from fedmrg_core.data.phantom.findings import PATHOLOGIES
from fedmrg_core.errors import ConfigError, choose

Range = tuple[float, float]
"""Low and high over hospitals."""


@dataclass(frozen=True)
class ShiftKnobs:
    """How different hospitals are in image, text and prevalence: 0 = all alike, 1 = the full ranges. public: how
    varied the films of the public corpus are: 0 = one reference apparatus in the middle of the ranges."""

    image: float
    text: float
    prevalence: float
    public: float


@dataclass(frozen=True)
class CaseMixKnobs:
    """Who the patients are and how many findings they have. `profiles[kind][condition]` is a probability."""

    concentration: float
    weights: dict[str, float]
    most_findings: int
    both_sides: float
    faint: Range
    profiles: dict[str, Any]


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


@dataclass(frozen=True)
class FilmKnobs:
    """How strongly findings and lung markings show."""

    finding: float
    faint: float
    texture: float


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
    _validate(table)
    parts = {"shift": ShiftKnobs, "case_mix": CaseMixKnobs, "text": TextKnobs, "image": ImageKnobs, "film": FilmKnobs}
    built: PhantomConfig = _frozen(PhantomConfig, table | {n: _frozen(kind, table[n]) for n, kind in parts.items()})
    return built


def _validate(table: dict[str, Any]) -> None:
    if not table["sizes"] or any(not isinstance(n, int) or n < 1 for n in table["sizes"]):
        raise ConfigError(f"phantom sizes are studies per hospital, 1 or more each, not {table['sizes']!r}.")
    if not 0 < table["unseen_from"] <= len(table["sizes"]):
        raise ConfigError(f"phantom unseen_from must be in 1..{len(table['sizes'])}, not {table['unseen_from']!r}.")
    for name, value in table["shift"].items():
        if not 0.0 <= value <= 1.0:
            raise ConfigError(f"phantom shift.{name} must be in 0..1, not {value!r}.")
    for kind in table["case_mix"]["weights"]:
        choose("kind of patient", kind, [name for name in table["case_mix"]["profiles"] if name != "background"])
    for condition in table["text"]["salience"]:
        choose("condition", condition, PATHOLOGIES)
