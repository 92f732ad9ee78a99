"""One experiment's settings: frozen dataclasses filled from defaults.toml < algos/ < presets/ < k=v, checked by name,
type and range before anything starts.

    config = settings.load("fedavg", split="phantom/ci", overrides=["rounds=3"])
    config.train.rounds
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.run.setting_values import NEWER, of_data_set, parse, same_type, type_name, without_newer
from fedmrg_core.errors import ConfigError, choose, in_range, not_empty, shortened
from fedmrg_core.models.config import NO_WARM_UP
from fedmrg_core.models.generation import GenerationConfig

if TYPE_CHECKING:
    from fedmrg_core.algorithms.base import Algorithm
    from fedmrg_core.codec import CodecConfig
    from fedmrg_core.data.config import DataConfig
    from fedmrg_core.engine.device import DeviceConfig
    from fedmrg_core.engine.pool import PoolConfig
    from fedmrg_core.engine.trainer import TrainConfig
    from fedmrg_core.evaluate import EvaluateConfig
    from fedmrg_core.models.config import ModelConfig
    from fedmrg_core.models.tuning import Tuning

CONFIGS = Path(__file__).parents[1] / "configs"
SECTIONS = ("run", "train", "model", "tuning", "codec", "data", "engine", "generation", "evaluate", "algorithm")
UNRANKED = ("engine", "data")
"""Sections that decide how and where a run is made, not what it computes. They are not in the config hash; the hashes
of data and split cover what [data] changes."""
FLOAT32 = "float32"
"""The precision that is left out of the config hash; other precisions give other numbers."""

Table = dict[str, dict[str, Any]]
"""Plain values by section and name, as in a TOML file."""
Part = TypeVar("Part")


@dataclass(frozen=True)
class RunConfig:
    """split: data set and division, as in splits/. preset: model and budget. seed: of everything random in the run.
    clients: number of seen hospitals that take part; 0 = all of the split."""

    split: str
    preset: str
    seed: int
    clients: int

    def __post_init__(self) -> None:
        in_range("run.seed", self.seed, 0)
        in_range("run.clients", self.clients, 0)


@dataclass(frozen=True)
class Config:
    """A resolved, checked configuration, one dataclass per section of defaults.toml; [engine] fills several fields.

    name: of the config file in configs/algos. method: the registered algorithm behind it. algorithm: its options, with
    tuning and codec, ready to run. faults: content of a fault file (engine/failures.py), which decides numbers too.
    """

    name: str
    method: str
    run: RunConfig
    train: TrainConfig
    model: ModelConfig
    tuning: Tuning
    codec: CodecConfig
    data: DataConfig
    pool: PoolConfig
    device: DeviceConfig
    keep_checkpoints: int
    val_every: int
    generation: GenerationConfig
    evaluate: EvaluateConfig
    algorithm: Algorithm
    faults: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        in_range("engine.keep_checkpoints", self.keep_checkpoints, 1)
        in_range("engine.val_every", self.val_every, 0)
        self.generation.longest(self.model.max_tokens)

    def table(self) -> Table:
        """Every section as plain values."""
        parts = {name: asdict(getattr(self, name)) for name in SECTIONS if name != "engine"}
        own = {key: value for key, value in parts["algorithm"].items() if key not in ("tuning", "codec")}
        recorded = {"keep_checkpoints": self.keep_checkpoints, "val_every": self.val_every}
        parts["engine"] = {**asdict(self.pool), **asdict(self.device), **recorded}
        return {name: {**parts, "algorithm": own}[name] for name in SECTIONS}

    def as_dict(self) -> dict[str, Any]:
        """What result.json holds and `from_dict` reads."""
        faults = {"faults": self.faults} if self.faults else {}
        return {"name": self.name, "method": self.method, **self.table(), **faults}

    def hash(self) -> str:
        """SHA-256 over what decides the numbers, without the seed and the machine's settings; checkpoints count by what
        they contain."""
        from fedmrg_core.models.identity import by_content

        table: dict[str, Any] = {name: values for name, values in self.table().items() if name not in UNRANKED}
        table["run"] = {key: value for key, value in table["run"].items() if key != "seed"}
        table["model"] = by_content(table["model"])
        table = without_newer(table)
        if self.device.precision != FLOAT32:
            table["engine"] = {"precision": self.device.precision}
        if self.faults:
            table["faults"] = self.faults
        text = json.dumps({"method": self.method, **table}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def build(name: str, method: str, table: Table, faults: dict[str, Any] | None = None) -> Config:
    """The dataclasses of a complete table. Raises ConfigError for a value out of range. The imports are here, so that
    `fedmrg bench --help` needs no torch."""
    from fedmrg_core.algorithms.registry import get
    from fedmrg_core.codec import CodecConfig
    from fedmrg_core.data.config import DataConfig
    from fedmrg_core.engine.device import DeviceConfig
    from fedmrg_core.engine.pool import PoolConfig
    from fedmrg_core.engine.trainer import TrainConfig
    from fedmrg_core.evaluate import EvaluateConfig
    from fedmrg_core.models.config import ModelConfig
    from fedmrg_core.models.tuning import Tuning

    tuning, codec = _part(Tuning, table["tuning"]), _part(CodecConfig, table["codec"])
    own = {key: _frozen(value) for key, value in table["algorithm"].items()}
    return Config(
        name,
        method,
        run=_part(RunConfig, table["run"]),
        train=_part(TrainConfig, table["train"]),
        model=_part(ModelConfig, table["model"]),
        tuning=tuning,
        codec=codec,
        data=_part(DataConfig, table["data"]),
        pool=_part(PoolConfig, table["engine"]),
        device=_part(DeviceConfig, table["engine"]),
        keep_checkpoints=table["engine"]["keep_checkpoints"],
        val_every=table["engine"]["val_every"],
        generation=_part(GenerationConfig, table["generation"]),
        evaluate=_part(EvaluateConfig, table["evaluate"]),
        algorithm=get(method)(tuning=tuning, codec=codec.build(), **own),
        faults=faults or {},
    )


def _part(cls: type[Part], values: Mapping[str, Any]) -> Part:
    """A dataclass from the values that bear its fields' names."""
    return cls(**{one.name: _frozen(values[one.name]) for one in fields(cls)})  # type: ignore[arg-type]


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
    tuned: bool = False,
) -> Config:
    """Resolve one experiment. tuned: with the settings that `fedmrg tune` chose. Raises ConfigError, in one line, for
    any wrong name, value or type."""
    from fedmrg_core.models.image_size import size_of_checkpoint
    from fedmrg_core.models.registry import get_language_model, is_checkpoint

    choose("algorithm", algo, algorithm_names())
    table = _read(CONFIGS / "defaults.toml")
    default_size, table["model"]["image_size"] = table["model"]["image_size"], 0
    preset = choose("preset", preset or str(table["run"]["preset"]), preset_names())
    chosen = _read(CONFIGS / "algos" / f"{algo}.toml")
    method = str(chosen.pop("method"))
    table["algorithm"] = _algorithm_defaults(method)
    if tuned and not tuned_file(algo, preset).exists():
        raise ConfigError(f"'{algo}' was not tuned for preset {preset}: run `fedmrg tune {algo}`.")
    layers = [chosen, _read(tuned_file(algo, preset))] if tuned else [chosen]
    for layer in (*layers, _read(CONFIGS / "presets" / f"{preset}.toml")):
        for section, values in of_data_set(layer, split or table["run"]["split"]).items():
            for key, value in values.items():
                _set(table, section, key, value)
    table["run"]["preset"] = preset
    for key, given in (("split", split), ("seed", seed)):
        if given is not None:
            _set(table, "run", key, given)
    for override in overrides:
        _override(table, override)
    model = table["model"]
    if not model["image_size"]:
        model["image_size"] = size_of_checkpoint(model["encoder"]) if is_checkpoint(model["encoder"]) else default_size
    if not get_language_model(model["lm"]).trained_here:
        model.update(NO_WARM_UP)
    return build(algo, method, table)


def tuned_file(algo: str, preset: str) -> Path:
    """Where the settings are that `fedmrg tune` chose for an algorithm."""
    return CONFIGS / "tuned" / preset / f"{algo}.toml"


def from_dict(stored: Mapping[str, Any]) -> Config:
    """The inverse of `Config.as_dict`, for a resume. A machine setting that is newer than the run has its default.

    Raises ConfigError for a stored configuration that is damaged, or of another version of this program.
    """
    stored = {"generation": {}, **stored}  # newer than some stored configurations
    for name in ("name", "method", *SECTIONS):
        if not isinstance(stored.get(name), Mapping if name in SECTIONS else str):
            raise ConfigError(f"the stored configuration has no '{name}'.")
    if not isinstance(stored.get("faults", {}), Mapping):
        raise ConfigError("the stored configuration is damaged: 'faults' is no table.")
    method = str(stored["method"])
    table = {**_read(CONFIGS / "defaults.toml"), "algorithm": _algorithm_defaults(method)}
    for section in SECTIONS:
        for key, value in stored[section].items():
            _set(table, section, key, value)
        newer = [key for key in table[section] if key not in stored[section] and key not in NEWER.get(section, {})]
        if newer and section not in (*UNRANKED, "algorithm"):
            raise ConfigError(f"the stored configuration is older than the setting {section}.{newer[0]}.")
    return build(str(stored["name"]), method, table, dict(stored.get("faults", {})))


def _algorithm_defaults(method: str) -> dict[str, Any]:
    """An algorithm's own fields, with the defaults of its dataclass."""
    from fedmrg_core.algorithms.registry import get

    return {k: v for k, v in asdict(get(method)()).items() if k not in ("tuning", "codec")}


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def _override(table: Table, text: str) -> None:
    """Apply one `k=v`; `k` is `section.key`, or a key that only one section has."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes k=v, not '{shortened(text)}'.")
    section, dot, name = key.strip().rpartition(".")
    if not dot:
        section = _section_of(table, name)
    choose("section", section, table)
    if section == "algorithm" and name not in table[section]:
        _elsewhere(name)
    choose(f"setting of [{section}]", name, table[section])
    _set(table, section, name, parse(f"{section}.{name}", value.strip(), table[section][name]))


def _elsewhere(key: str) -> None:
    """Refuse a setting of another algorithm, and name that algorithm."""
    from fedmrg_core.algorithms.registry import algorithms

    owners = [method for method in algorithms() if key in _algorithm_defaults(method)]
    if owners:
        raise ConfigError(f"'{key}' is a setting of {', '.join(owners)}: the chosen algorithm has none of that name.")


def _section_of(table: Table, key: str) -> str:
    homes = [section for section in SECTIONS if key in table[section]]
    if len(homes) > 1:
        raise ConfigError(f"'{key}' is in several sections: say {' or '.join(f'{s}.{key}' for s in homes)}.")
    if not homes:
        _elsewhere(key)
        choose("setting", key, {name for part in table.values() for name in part})
    return homes[0]


def _set(table: Table, section: str, key: str, value: Any) -> None:
    """Replace a value by one of the same type."""
    choose("section", section, table)
    choose(f"setting of [{section}]", key, table[section])
    default = table[section][key]
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if not same_type(value, default):
        raise ConfigError(f"{section}.{key} takes {type_name(default)}, not {shortened(repr(value))}.")
    if default and isinstance(value, list | tuple):
        not_empty(f"{section}.{key}", value)
    table[section][key] = value


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
