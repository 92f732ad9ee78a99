"""Values of settings: from the command line's text, of the right type, and those that are newer than stored results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fedmrg_core.errors import ConfigError, choose, shortened
from fedmrg_core.models.config import NEWER as NEWER_MODEL
from fedmrg_core.models.generation import GREEDY

NEWER: dict[str, dict[str, Any]] = {
    "model": NEWER_MODEL,
    "tuning": {"dropout": 0.0, "encoder_kind": "full", "prefix_tokens": 16},
    "train": {"encoder_lr": 0.0},
    "generation": asdict(GREEDY),
    "evaluate": {"adapt": (0,), "adapt_steps": 40},
    "algorithm": {"contrastive_decoding": 1.0, "choose_share": False, "diagnosis": True, "finetune_epochs": 0},
}
"""Settings that are newer than the boards' results, with the values that change nothing: left out of the hash."""


def without_newer(table: dict[str, Any]) -> dict[str, Any]:
    """The sections without settings that are newer than the boards' results and change nothing, so that these results
    keep their hash."""
    sections = {
        section: {key: value for key, value in values.items() if NEWER.get(section, {}).get(key) != value}
        for section, values in table.items()
    }
    if sections["tuning"]["targets"] == ("auto",):  # as it was called; where it is another layer there is no such one
        sections["tuning"]["targets"] = ("q_proj", "v_proj")
    if not sections["generation"]:
        del sections["generation"]
    return sections


def parse(name: str, text: str, default: Any) -> Any:
    """A text of the command line as a value of the default's type."""
    if isinstance(default, bool):
        return choose(name, text.lower(), ("true", "false")) == "true"
    if isinstance(default, list | tuple):
        items = [item.strip() for item in text.strip("[]").split(",") if item.strip()]
        return [parse(name, item.strip("\"'"), _item(default)) for item in items]
    if isinstance(default, int | float):
        kind = "a whole number" if isinstance(default, int) else "a number"
        try:
            return type(default)(text)
        except ValueError:
            raise ConfigError(f"{name} takes {kind}, not '{shortened(text)}'.") from None
    return text


def same_type(value: Any, default: Any) -> bool:
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple) and all(type(item) is type(_item(default)) for item in value)
    return type(value) is type(default)


def type_name(default: Any) -> str:
    if isinstance(default, list | tuple):
        return f"a list of {type(_item(default)).__name__}"
    return type(default).__name__


def _item(default: Any) -> Any:
    """A value like those of a list; a list that is empty by default is one of whole numbers."""
    return default[0] if default else 0


def of_data_set(layer: Mapping[str, Mapping[str, Any]], split: str) -> dict[str, dict[str, Any]]:
    """A file's sections for one split. A table within a section, such as [generation.iu_xray], holds for splits of that
    data set alone.

    >>> of_data_set({"generation": {"beams": 3, "iu_xray": {"max_new_tokens": 60}}}, "iu_xray/r2gen")
    {'generation': {'beams': 3, 'max_new_tokens': 60}}
    """
    found = {}
    for section, values in layer.items():
        plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
        found[section] = {**plain, **values.get(split.partition("/")[0], {})}
    return found
