"""Exactly one load of the base in the life of whatever holds the model, whichever pool it works for."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedmrg_core import tree
from fedmrg_core.engine.memory.process import are_file_backed
from fedmrg_core.engine.memory.shared_weights import MIN_SHARED_BYTES
from fedmrg_core.engine.pool import Call, SerialPool
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.engine.worker import Worker
from fedmrg_core.evaluate import evaluate
from fedmrg_core.models.report_model import models_built
from tests.toy import TWO_ACTORS, Run, toy_config, toy_spec


@pytest.fixture(scope="module", name="half_checkpoint")
def _half_checkpoint(language_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As most are: in half the precision that training uses, so that loading makes copies."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("half")
    for file in language_checkpoint.glob("*token*"):
        shutil.copy(file, folder)
    AutoModelForCausalLM.from_pretrained(language_checkpoint).to(torch.bfloat16).save_pretrained(folder)
    return folder


def test_a_checkpoint_that_is_mapped_as_it_is_stays_where_it_is(toy_cache: Path, language_checkpoint: Path) -> None:
    overrides = (f"lm={language_checkpoint}", "tuning.targets=query_key_value", "warmup_steps=2")
    spec = toy_spec(toy_cache, "fedmrg", *overrides)
    own, shared = Run(spec), Run(replace(spec, min_shared_bytes=1))
    assert params_sha256(own.server, own.store) == params_sha256(shared.server, shared.store)
    where = [{n: p.data_ptr() % 4096 for n, p in run.worker.model.lm.named_parameters()} for run in (own, shared)]
    frozen = [name for name in where[0] if f"lm.{name}" not in own.worker.initial]
    addresses = [own.worker.model.lm.get_parameter(name).data_ptr() for name in frozen]
    if all(are_file_backed(addresses)):
        assert [where[0][name] for name in frozen] == [where[1][name] for name in frozen]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_running")
def test_a_base_from_a_checkpoint_is_loaded_once_by_every_actor(toy_cache: Path, half_checkpoint: Path) -> None:
    """Several clients, rounds and an evaluation, in this process and with two actors: reports and bits agree too."""
    overrides = (f"lm={half_checkpoint}", "tuning.targets=query_key_value", "warmup_steps=2")
    spec = replace(toy_spec(toy_cache, "fedmrg", *overrides), min_shared_bytes=1)
    config = toy_config("fedmrg", *overrides).evaluate

    def through(pool: SerialPool | RayPool, calls: int) -> tuple[list[dict[str, int]], str, list[str]]:
        run = Run(spec, pool)
        frame = evaluate(spec.algorithm, run.federation, run.server, run.store, pool, config, 0)
        facts = list(pool.map([Call("facts", None, None, "an actor")] * calls))
        return facts, params_sha256(run.server, run.store), list(frame.hypothesis)

    plain, worker = Run(replace(spec, min_shared_bytes=MIN_SHARED_BYTES)), Worker(spec)
    assert plain.worker.shared_bytes == 0
    built = models_built()
    (fact,), digest, reports = through(SerialPool(worker), 1)
    assert fact["models_built"] == built + 1, "the one that the toy's Run builds beside the pool"
    with closing(RayPool(spec, TWO_ACTORS)) as pool:
        facts, *same = through(pool, 40)
    assert same == [digest, reports]
    assert digest == params_sha256(plain.server, plain.store)
    assert len({fact["pid"] for fact in facts}) == 2
    assert {fact["models_built"] for fact in facts} == {1}
    assert {fact["shared_bytes"] for fact in facts} == {worker.shared_bytes}
    own = [p for n, p in worker.model.named_parameters() if n not in worker.initial]
    assert worker.shared_bytes == sum(p.nbytes for p in own)
    assert all(p.data_ptr() % tree.ALIGN == 0 for p in own)
