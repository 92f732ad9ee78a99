"""Exactly one load of the base in the life of whatever holds the model, whichever pool it works for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fedmrg_core import tree
from fedmrg_core.engine.calls import Call, SerialPool
from fedmrg_core.engine.client import Worker
from fedmrg_core.engine.pool import PoolConfig, RayPool, start_ray
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.evaluate import evaluate
from fedmrg_core.models.report_model import models_built
from tests.toy import Run, toy_config, toy_spec

CONFIG = PoolConfig(actors=2, gpus_per_actor=0.0, object_store_mb=128, wait_s=120.0)


def test_a_base_from_a_checkpoint_is_loaded_once_by_every_actor(toy_cache: Path, language_checkpoint: Path) -> None:
    """Several clients, rounds and an evaluation, in this process and with two actors: reports and bits agree too."""
    overrides = (f"lm={language_checkpoint}", "tuning.targets=query_key_value", "warmup_steps=2")
    spec = replace(toy_spec(toy_cache, "fedmrg", *overrides), share_from=1)
    config = toy_config("fedmrg", *overrides).part("evaluate")

    def through(pool: SerialPool | RayPool, calls: int) -> tuple[list[dict[str, int]], str, list[str]]:
        run = Run(spec, pool)
        frame = evaluate(spec.algorithm, run.federation, run.server, run.store, pool, config, 0)
        facts = list(pool.map([Call("facts", None, None, "an actor")] * calls))
        return facts, params_sha256(run.server, run.store), list(frame.hypothesis)

    worker = Worker(spec)
    built = models_built()
    (fact,), digest, reports = through(SerialPool(worker), 1)
    assert fact["models_built"] == built + 1, "the one that the toy's Run builds beside the pool"
    stop = start_ray(CONFIG)
    try:
        pool = RayPool(spec, CONFIG)
        facts, *same = through(pool, 40)
        pool.close()
    finally:
        stop()
    assert same == [digest, reports]
    assert len({fact["pid"] for fact in facts}) == 2
    assert {fact["models_built"] for fact in facts} == {1}
    assert {fact["shared_bytes"] for fact in facts} == {worker.shared_bytes}
    own = [p for n, p in worker.model.named_parameters() if n not in worker.initial]
    assert worker.shared_bytes == sum(p.nbytes for p in own)
    assert all(p.data_ptr() % tree.ALIGN == 0 for p in own)
