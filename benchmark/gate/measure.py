"""One run of the gate, in this process and without Ray, and the numbers that it is compared by."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.board.results import LIBRARIES
from benchmark.gate import golden
from benchmark.gate.expectations import Measured, Numbers
from benchmark.gate.rounding import KERNELS, capability, move_last_bits
from benchmark.gate.trajectory import Trajectory
from benchmark.gate.warm_up import measure_warm_up
from benchmark.run import provenance, stages
from benchmark.run.options import BENCH_VERSION, DRAWS
from benchmark.run.settings import Config
from benchmark.scoring.generations import score_generations
from benchmark.suites import plan
from fedmrg_core.engine.base_cache import check_base, find_key, find_shipped
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.pool import SerialPool
from fedmrg_core.engine.rounds import params_sha256, run_rounds
from fedmrg_core.engine.worker import Worker
from fedmrg_core.evaluate import evaluate
from fedmrg_core.hashes import json_sha256
from fedmrg_core.metrics.catalogue import find
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.registry import get_language_model
from fedmrg_core.paths import ROOT
from fedmrg_core.types import State

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.algorithms.base import ServerState
    from fedmrg_core.data.cache.federation import Federation
    from fedmrg_core.metrics.scorecard import Scorecard


@dataclass(frozen=True)
class Trained:
    """A run after its rounds."""

    config: Config
    base_key: str
    base: Path
    federation: Federation
    pool: SerialPool
    server: ServerState
    store: ClientStore
    trajectory: Trajectory


class Inputs:
    """Federations and bases, each opened once, however many runs use them."""

    def __init__(self, cache_folder: Path) -> None:
        self._cache = cache_folder
        self._federations: dict[Any, Federation] = {}
        self._keys: dict[Any, str] = {}

    def federation(self, config: Config) -> Federation:
        """The federation of the config's data and split."""
        key = (config.run.split, config.run.seed, config.run.clients, config.data, config.model.image_size)
        if key not in self._federations:
            self._federations[key] = stages.load_data(config, self._cache)
        return self._federations[key]

    def base_key(self, config: Config) -> str:
        """The key of the base that a run starts from."""
        draw = config.run.seed % DRAWS
        if (config.model, draw) not in self._keys:
            corpus = stages.public_corpus(config.model, draw)
            self._keys[config.model, draw] = find_key(config.model, corpus, draw, self._cache)
        return self._keys[config.model, draw]

    def base(self, config: Config) -> Path:
        """The folder of that base: the shipped one; else a cached one, which is built where there is none."""
        return find_shipped(self.base_key(config)) or stages.load_base(config, self._cache)


def measure_suite(suite: str, inputs: Inputs, last_bits: int = 0) -> Measured:
    """The numbers of every run of a suite, one after the other in this process. last_bits: as in `measure`."""
    runs = {}
    configs = {task.name: task.config() for task in plan.read(suite)}
    for name, (model, draw) in warm_ups(configs.values()).items():
        print(f"running {name}", file=sys.stderr, flush=True)
        runs[name] = measure_warm_up(model, draw)
    for name, config in configs.items():
        print(f"running {name}", file=sys.stderr, flush=True)
        runs[name] = measure(config, inputs, last_bits)
    facts = {"bench_version": BENCH_VERSION, "suite": suite, "git_sha": provenance.collect(ROOT, "cpu")["git_sha"]}
    return Measured(facts, machine_facts(), golden.labels(), runs)


def warm_ups(configs: Iterable[Config]) -> dict[str, tuple[ModelConfig, int]]:
    """Name -> settings and draw of the bases that these runs start from, where the language model is trained here."""
    bases = dict.fromkeys((config.model, config.run.seed % DRAWS) for config in configs)
    own = [(model, draw) for model, draw in bases if get_language_model(model.lm).trained_here]
    return {f"warm-up {number}, draw {draw}": (model, draw) for number, (model, draw) in enumerate(own, 1)}


def measure(config: Config, inputs: Inputs, last_bits: int = 0) -> Numbers:
    """Train, generate and score. last_bits: as in `move_last_bits`; 0 = the base as it is."""
    run = train(config, inputs, last_bits)
    frame = generate(run)
    return numbers(run, frame, score(run, frame))


def train(config: Config, inputs: Inputs, last_bits: int = 0) -> Trained:
    """The rounds of a run."""
    federation, base = inputs.federation(config), inputs.base(config)
    worker = Worker(stages.worker_spec(config, federation, base))
    if last_bits:
        move_last_bits(worker, last_bits)
    pool, store, algorithm = SerialPool(worker), ClientStore(), config.algorithm
    initial: State = {name: worker.initial[name] for name in worker.shared_names()}
    server = algorithm.init_server(initial, sum(hospital.seen for hospital in federation.hospitals))
    trajectory = Trajectory(algorithm)
    if algorithm.trains:
        fixed = (trajectory.algorithm, federation, config.train, config.run.seed, pool)
        server = run_rounds(*fixed, server, store, trajectory.on_round)
    return Trained(config, inputs.base_key(config), base, federation, pool, server, store, trajectory)


def generate(run: Trained) -> pd.DataFrame:
    """The reports of a run."""
    config = run.config
    fixed = (run.server, run.store, run.pool, config.evaluate, config.run.seed)
    return evaluate(config.algorithm, run.federation, *fixed)


def score(run: Trained, frame: pd.DataFrame) -> Scorecard:
    """The scores of a run's reports, without those that need Java."""
    return score_generations(run.config, run.federation, frame, conventions=("r2gen",), meteor=False)


def numbers(run: Trained, frame: pd.DataFrame, card: Scorecard) -> Numbers:
    """What the run is compared by."""
    exact = {
        "base_key": run.base_key,
        "model_sha256": check_base(run.base)["sha256"],
        "data_sha256": run.federation.data_sha256,
        "split_sha256": run.federation.split_sha256,
        "reference_labels_sha256": json_sha256(card.per_study["reference_labels"].tolist()),
    }
    bits = {
        "params_sha256": params_sha256(run.server, run.store),
        "labels_sha256": json_sha256(card.per_study["hypothesis_labels"].tolist()),
    }
    scores = {key: score.value for key, score in card.scores.items() if _is_compared(key)}
    values = {**run.trajectory.values, **texts(frame), **scores}
    return Numbers({**exact, **run.trajectory.exact}, bits, text_codes(frame), values)


def text_codes(frame: pd.DataFrame) -> list[str]:
    """Four hex digits for each report, in the order of part, view and study."""
    rows = frame.sort_values(["part", "view", "study_id"])
    return [hashlib.sha256(text.encode()).hexdigest()[:4] for text in rows["hypothesis"]]


def texts(frame: pd.DataFrame) -> dict[str, float]:
    """Mean words of the reports of each part and view; and the share of test studies on which the views differ."""
    found: dict[str, float] = {}
    for (part, view), rows in frame.groupby(["part", "view"], sort=True):
        found[f"{part}/{view}/words"] = sum(len(text.split()) for text in rows["hypothesis"]) / len(rows)
    views = frame[frame["part"] == "test"].pivot(index="study_id", columns="view", values="hypothesis")
    if "personal" in views.columns:
        found["test/personal/differs"] = float((views["personal"] != views["global"]).mean())
    return found


def machine_facts() -> dict[str, str]:
    """What must be equal for bits to be equal: processor, kernels and libraries."""
    found = provenance.collect(ROOT, "cpu")
    parts = [*found["machine"].split(", "), "-", "-"]
    kernels = {name: os.environ.get(name, "-") for name in KERNELS}
    versions = {name: found["versions"][name] for name in ("python", *LIBRARIES)}
    here = {"processor": provenance.device_name("cpu", "float32").split(",")[0], "capability": capability()}
    return {"system": parts[0], "model": parts[1], "flags": parts[2], **here, **kernels, **versions}


def _is_compared(key: str) -> bool:
    """Whether a score is compared: pooled (a hospital's key has four parts), and not derived from others that are."""
    metric = find(key)
    return key.count("/") == 2 and (not metric.prefix or metric.key == "worst_ce_f1_micro14")
