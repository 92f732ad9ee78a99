"""One experiment's settings: frozen dataclasses filled from defaults.toml < algos/ < presets/ < k=v, checked by name
and type before anything starts."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fedmrg_core.errors import ConfigError, choose

CONFIGS = Path(__file__).parents[1] / "configs"
SECTIONS = ("run", "train", "model", "tuning", "codec", "data", "engine", "evaluate", "algorithm")
UNRANKED = ("engine", "data")
"""Sections that change how or where a run is made, not what it computes: left out of the config hash. What `data`
changes is in the hashes of data and split."""
FLOAT32 = "float32"
"""The engine's precision that needs no mention in a config hash; another one computes something else."""

Table = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Config:
    """A resolved, checked configuration. `table` holds every section as plain values; the properties give each part
    its dataclass, built where it is used (so that reading a config imports no torch)."""

    algorithm: str
    method: str
    table: Table
    faults: dict[str, Any] = field(default_factory=dict)
    """Content of a fault file (engine/policy.py); it belongs to what a run computes."""

    @property
    def split(self) -> str:
        return str(self.table["run"]["split"])

    @property
    def preset(self) -> str:
        return str(self.table["run"]["preset"])

    @property
    def seed(self) -> int:
        return int(self.table["run"]["seed"])

    @property
    def clients(self) -> int | None:
        return int(self.table["run"]["clients"]) or None

    def as_dict(self) -> dict[str, Any]:
        """What result.json holds and `from_dict` reads."""
        faults = {"faults": self.faults} if self.faults else {}
        return {"name": self.algorithm, "method": self.method, **self.table, **faults}

    def hash(self) -> str:
        """SHA-256 over what decides the numbers, but for seed and machine settings."""
        table = {name: part for name, part in self.table.items() if name not in UNRANKED}
        table["run"] = {key: value for key, value in table["run"].items() if key != "seed"}
        if table["algorithm"].get("guidance") == 1.0:  # the setting is newer than the boards, and so it changes nothing
            table["algorithm"] = {key: value for key, value in table["algorithm"].items() if key != "guidance"}
        precision = self.table["engine"].get("precision", FLOAT32)
        if precision != FLOAT32:
            table["engine"] = {"precision": precision}
        if self.faults:
            table["faults"] = self.faults
        text = json.dumps({"algorithm": self.algorithm, "method": self.method, **table}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def part(self, name: str) -> Any:
        """The dataclass of a section: "train", "model", "tuning", "data", "evaluate", or "pool" and "device" for the
        engine's."""
        section = "engine" if name in ("pool", "device") else name
        cls = section_class(name, self.table[section])
        names = {f.name for f in fields(cls)}
        return cls(**{key: _frozen(value) for key, value in self.table[section].items() if key in names})

    def build_algorithm(self) -> Any:
        """The algorithm with its options, tuning and codec."""
        from fedmrg_core.algorithms.registry import get

        cls = get(self.method)
        options = {key: _frozen(value) for key, value in self.table["algorithm"].items()}
        return cls(tuning=self.part("tuning"), codec=self.part("codec"), **options)


def section_class(name: str, values: Mapping[str, Any]) -> Any:
    """The dataclass behind a section. Imported here, since a config must be readable without torch."""
    if name == "codec":
        from fedmrg_core.codec import CODECS

        return CODECS[choose("codec.kind", values["kind"], CODECS)]
    if name == "data":
        from fedmrg_core.data.config import DataConfig as cls
    elif name == "train":
        from fedmrg_core.engine.trainer import TrainConfig as cls
    elif name == "pool":
        from fedmrg_core.engine.ray.pool import PoolConfig as cls
    elif name == "device":
        from fedmrg_core.engine.device import DeviceConfig as cls
    elif name == "evaluate":
        from fedmrg_core.evaluate import EvaluateConfig as cls
    elif name == "model":
        from fedmrg_core.models.config import ModelConfig as cls
    else:
        from fedmrg_core.models.tuning import Tuning as cls
    return cls


def algorithm_names() -> list[str]:
    """Every algorithm that has a config file."""
    return sorted(path.stem for path in (CONFIGS / "algos").glob("*.toml"))


def preset_names() -> list[str]:
    return sorted(path.stem for path in (CONFIGS / "presets").glob("*.toml"))


def load(
    algo: str,
    split: str | None = None,
    preset: str | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
) -> Config:
    """Resolve one experiment. Raises ConfigError, in one line, for any wrong name, value or type."""
    choose("algorithm", algo, algorithm_names())
    table = _read(CONFIGS / "defaults.toml")
    preset = choose("preset", preset or str(table["run"]["preset"]), preset_names())
    chosen = _read(CONFIGS / "algos" / f"{algo}.toml")
    method = str(chosen.pop("method"))
    table["algorithm"] = _algorithm_defaults(method)
    for layer in (chosen, _read(CONFIGS / "presets" / f"{preset}.toml")):
        for section, values in layer.items():
            for key, value in values.items():
                _set(table, section, key, value)
    table["run"]["preset"] = preset
    for key, given in (("split", split), ("seed", seed)):
        if given is not None:
            _set(table, "run", key, given)
    for override in overrides:
        _override(table, override)
    config = Config(algo, method, table)
    check(config)
    return config


def from_dict(stored: Mapping[str, Any]) -> Config:
    """The inverse of `Config.as_dict`, for a resume. A setting that is newer than the run and changes no result has its
    default."""
    defaults = _read(CONFIGS / "defaults.toml")
    table = {name: {**(defaults[name] if name in UNRANKED else {}), **stored[name]} for name in SECTIONS}
    return Config(str(stored["name"]), str(stored["method"]), table, dict(stored.get("faults", {})))


def lacking(config: Config) -> list[str]:
    """Settings that a stored configuration does not have, since it is older than they are."""
    defaults = _read(CONFIGS / "defaults.toml")
    return [f"{name}.{key}" for name, part in defaults.items() for key in part if key not in config.table[name]]


def check(config: Config) -> None:
    """Bounds that a type cannot tell."""
    train, model, tuning = config.table["train"], config.table["model"], config.table["tuning"]
    _bound("train.participation", train["participation"], 0 < train["participation"] <= 1, "above 0, at most 1")
    for name in ("batch_size", "local_epochs"):
        _bound(f"train.{name}", train[name], train[name] >= 1, "1 or more")
    for name in ("rounds", "local_steps", "lr", "adapter_lr", "weight_decay", "clip_norm"):
        _bound(f"train.{name}", train[name], train[name] >= 0, "0 or more")
    _bound("tuning.rank", tuning["rank"], tuning["rank"] >= 1, "1 or more")
    _bound("model.image_size", model["image_size"], 16 <= model["image_size"] <= 2048, "16 to 2048 (pixels)")
    _bound("model.prompt_states", model["prompt_states"], model["prompt_states"] in (3, 4), "3 or 4")
    _bound("model.prompt_from_head", model["prompt_from_head"], 0 <= model["prompt_from_head"] <= 1, "0 to 1")
    _bound("engine.actors", config.table["engine"]["actors"], 0 <= config.table["engine"]["actors"] <= 512, "0 to 512")
    _bound("run.seed", config.seed, config.seed >= 0, "0 or more")
    choose("train.optimizer", train["optimizer"], ("adamw", "sgd"))
    choose("train.schedule", train["schedule"], ("constant", "cosine"))
    choose("tuning.kind", tuning["kind"], ("full", "lora"))
    choose("engine.device", config.table["engine"]["device"], ("auto", "cpu", "cuda"))
    choose("engine.precision", config.table["engine"]["precision"], (FLOAT32, "bf16"))
    choose("codec.kind", config.table["codec"]["kind"], ("identity", "lowrank", "int8", "int4"))
    choose("data.on_bad", config.table["data"]["on_bad"], ("stop", "skip"))
    choose("data.small", config.table["data"]["small"], ("refuse", "merge"))


def _bound(name: str, value: Any, holds: bool, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"{name} = {value} is out of range; allowed: {allowed}.")


def _algorithm_defaults(method: str) -> dict[str, Any]:
    """An algorithm's own fields, with the defaults of its dataclass."""
    from fedmrg_core.algorithms.registry import get

    return {k: v for k, v in asdict(get(method)()).items() if k not in ("tuning", "codec")}


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)


def _override(table: Table, text: str) -> None:
    """Apply one `k=v`; `k` is `section.key`, or a key that only one section has."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes k=v, not '{text}'.")
    section, dot, name = key.strip().rpartition(".")
    if not dot:
        section = _section_of(table, name)
    choose("section", section, table)
    if section == "algorithm" and name not in table[section]:
        _elsewhere(name)
    choose(f"setting of [{section}]", name, table[section])
    _set(table, section, name, _parse(f"{section}.{name}", value.strip(), table[section][name]))


def _elsewhere(key: str) -> None:
    """Refuse the setting of an algorithm that was not chosen by that algorithm's name."""
    from fedmrg_core.algorithms.registry import algorithms

    owners = [method for method in algorithms() if key in _algorithm_defaults(method)]
    if owners:
        raise ConfigError(f"'{key}' is a setting of {', '.join(owners)}: the chosen algorithm has none of that name.")


def _section_of(table: Table, key: str) -> str:
    homes = [section for section in SECTIONS if key in table[section]]
    if len(homes) > 1:
        raise ConfigError(f"'{key}' stands in several sections: say {' or '.join(f'{s}.{key}' for s in homes)}.")
    if not homes:
        _elsewhere(key)
        choose("setting", key, {name for part in table.values() for name in part})
    return homes[0]


def _parse(name: str, text: str, default: Any) -> Any:
    """A command line's text as the type that the default has."""
    if isinstance(default, bool):
        return choose(name, text.lower(), ("true", "false")) == "true"
    if isinstance(default, list | tuple):
        items = [item.strip() for item in text.strip("[]").split(",") if item.strip()]
        return [_parse(name, item.strip("\"'"), default[0]) for item in items] if default else items
    if isinstance(default, int | float):
        kind = "a whole number" if isinstance(default, int) else "a number"
        try:
            return type(default)(text)
        except ValueError:
            raise ConfigError(f"{name} takes {kind}, not '{text}'.") from None
    return text


def _set(table: Table, section: str, key: str, value: Any) -> None:
    """Put a value where a value of that kind stands already."""
    choose("section", section, table)
    choose(f"setting of [{section}]", key, table[section])
    default = table[section][key]
    if isinstance(default, float) and isinstance(value, int):
        value = float(value)
    if type(value) is not type(default) and not (isinstance(value, list) and isinstance(default, tuple)):
        raise ConfigError(f"{section}.{key} takes {type(default).__name__}, not {value!r}.")
    table[section][key] = value


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
