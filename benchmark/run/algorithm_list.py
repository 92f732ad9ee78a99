"""The list of algorithms, made from their classes and configs: what each does, sends, keeps and costs.

    markdown(entries("tiny"))
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmark.run import settings
from benchmark.run.options import CACHE
from benchmark.run.traffic import traffic
from fedmrg_core.adapter_names import adapter_of, is_adapter
from fedmrg_core.algorithms.base import FAMILIES, Algorithm
from fedmrg_core.algorithms.registry import algorithms
from fedmrg_core.engine import base_cache
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.report_model import build_model
from fedmrg_core.runfolder import read_json
from fedmrg_core.types import State

PARTS = {
    "encoder.": "encoder",
    "connector.": "connector",
    "dx_head.": "diagnosis head",
    "dx_prompts.": "prompts",
    "soft_tokens.": "soft tokens",
    "lm.": "language model",
}
"""First letters of a parameter's name -> the part of the model."""


@dataclass(frozen=True)
class Entry:
    """One algorithm. text: what it does. sent, kept: what travels up and what stays at the hospital, in words.
    up, down: bytes per client and round; 0 and 0 where nothing is trained."""

    name: str
    method: str
    family: str
    text: str
    weighting: str
    sent: str
    kept: str
    up: int
    down: int
    cost: str


def entries(preset: str) -> list[Entry]:
    """Every algorithm with a config, by family and name. Raises ConfigError if the preset's base was never built."""
    found = [_entry(settings.load(name, preset=preset)) for name in settings.algorithm_names()]
    return sorted(found, key=lambda entry: (FAMILIES.index(entry.family), entry.name))


def _entry(config: settings.Config) -> Entry:
    algorithm = config.algorithm
    facts = (config.name, config.method, algorithm.family, _text(config))
    if not algorithm.trains:
        return Entry(*facts, "", "", "", 0, 0, "")
    model = build_model(config.model, _base(config.model), 0)
    algorithm.configure_model(model, 0)
    moving = {**model.trainable(), **model.buffers_of_state()}
    shared: State = {name: moving[name] for name in algorithm.shared_names(model, moving)}
    server = algorithm.init_server(shared, 5)
    bytes_of = traffic(algorithm, server, "")
    groups = [f"`{group}`" for way, group in bytes_of.groups if way == "upload" and group != "delta"]
    parts = [*_parts(shared)]
    kept = [f"part of the {part}" if part in parts else part for part in _parts(moving.keys() - shared.keys())]
    kept += [f"`{group}`" for group in algorithm.keeps]
    if not algorithm.codec.lossless and algorithm.codec.error_feedback:
        kept.append("the codec's residue")
    return Entry(
        *facts,
        weighting=algorithm.weighting,
        sent=", ".join([*parts, *groups]),
        kept=", ".join(kept),
        up=bytes_of.total("upload"),
        down=bytes_of.total("download"),
        cost=algorithm.cost,
    )


def _base(config: ModelConfig) -> Path:
    """A base of these settings, of any draw: it decides the sizes."""
    for file in sorted([*base_cache.SHIPPED.glob("*/base.json"), *(CACHE / "bases").glob("*/base.json")]):
        if read_json(file).get("model") == json.loads(json.dumps(config.recipe())):
            return file.parent
    raise ConfigError("no base of this preset is shipped or cached: `fedmrg base build` makes one")


def _parts(names: Any) -> Iterator[str]:
    """The parts of the model that parameters belong to, LoRA adapters by their names."""
    found = {_adapter(name) or next(part for first, part in PARTS.items() if name.startswith(first)) for name in names}
    order = [*PARTS.values()]
    yield from sorted(found, key=lambda part: (order.index(part) if part in order else len(order), part))


def _adapter(name: str) -> str:
    """ "LoRA (generic)", or "" for a parameter of no adapter."""
    return f"LoRA ({adapter_of(name)})" if is_adapter(name) else ""


def _text(config: settings.Config) -> str:
    """The config's first comment; else the first paragraph of the algorithm's file, or of the class where a file has
    several algorithms."""
    path = settings.CONFIGS / "algos" / f"{config.name}.toml"
    comment = [line.removeprefix("# ") for line in path.read_text("utf-8").splitlines() if line.startswith("# ")]
    if comment:
        return " ".join(comment)
    cls = algorithms()[config.method]
    return _paragraphs(cls if _several(cls) else sys.modules[cls.__module__])[0]


def _paragraphs(documented: Any) -> list[str]:
    return [" ".join(part.split()) for part in (inspect.getdoc(documented) or "").split("\n\n")]


# ---- as a page


def markdown(found: Sequence[Entry]) -> str:
    """The tables by family, and the settings with their meaning."""
    families = [family for family in FAMILIES if any(entry.family == family for entry in found)]
    tables = [_table(family, [entry for entry in found if entry.family == family]) for family in families]
    return "\n\n".join([*tables, _settings()]) + "\n"


def _table(family: str, found: Sequence[Entry]) -> str:
    title = f"### {family[:1].upper()}{family[1:]}"
    if not any(entry.up or entry.kept for entry in found):
        lines = ["| name | its report |", "|---|---|", *(f"| `{entry.name}` | {entry.text} |" for entry in found)]
        return "\n".join([title, "", *lines])
    columns = ("name", "what it does", "weights by", "sends", "MB up, down", "stays at the hospital", "costs besides")
    head = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([title, "", *head, *map(_line, found)])


def _line(entry: Entry) -> str:
    size = f"{entry.up / 1e6:.2f}, {entry.down / 1e6:.2f}"
    cells = (f"`{entry.name}`", entry.text, entry.weighting, entry.sent, size, entry.kept, entry.cost)
    return "| " + " | ".join(cell.replace("|", "\\|") or "-" for cell in cells) + " |"


def _settings() -> str:
    """Every method's own settings: default and meaning, from its docstring; where it has none, what else that says."""
    lines = []
    for method, cls in algorithms().items():
        own = _defaults(cls) if cls is Algorithm else {k: v for k, v in _defaults(cls).items() if k not in _above(cls)}
        meaning = _details(cls)
        if own:
            values = ", ".join(f"`{name} = {json.dumps(value)}`" for name, value in own.items())
            lines.append(f"- `{method}`: {values}. {meaning}")
        elif meaning and cls.trains:
            lines.append(f"- `{method}`: {meaning}")
    return "\n".join(["### Settings and details", "", *lines])


def _details(cls: type[Algorithm]) -> str:
    """A class's docstring, without its first paragraph where that is the method's line in the table."""
    said = _paragraphs(cls)
    return " ".join(said[1:] if _several(cls) else said)


def _several(cls: type[Algorithm]) -> bool:
    """Whether a file has several algorithms, so that each class says itself what it does."""
    return cls is Algorithm or sum(other.__module__ == cls.__module__ for other in algorithms().values()) > 1


def _defaults(cls: type[Algorithm]) -> dict[str, Any]:
    return {field.name: field.default for field in fields(cls) if field.name not in ("tuning", "codec")}


def _above(cls: type[Algorithm]) -> set[str]:
    """Settings that a class has from the classes it extends."""
    return {name for base in cls.__mro__[1:] if issubclass(base, Algorithm) for name in _defaults(base)}
