"""What every registered algorithm must keep: STYLE rule 6, on two rounds of the CI split."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from benchmark.run import settings
from fedmrg_core import tree
from fedmrg_core.algorithms.registry import algorithms, get
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.rounds import params_sha256
from tests.toy import Run, same, toy_config, toy_spec

TRAINED = sorted(name for name, cls in algorithms().items() if cls.trains)


@pytest.mark.parametrize("name", sorted(algorithms()))
def test_is_a_frozen_documented_dataclass_with_a_config_of_its_name(name: str) -> None:
    cls = get(name)
    assert is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    undocumented = [
        f.name for f in fields(cls) if not any(f"{f.name}" in (inspect.getdoc(base) or "") for base in cls.__mro__)
    ]
    assert not undocumented, f"{name}: fields without a word in the docstring: {undocumented}"
    assert any(settings.load(algo).method == name for algo in settings.algorithm_names())


@pytest.mark.parametrize("name", TRAINED)
def test_two_runs_and_a_resume_end_in_the_same_bits(name: str, toy_cache: Path, tmp_path: Path) -> None:
    spec = toy_spec(toy_cache, name)
    whole = Run(spec)
    assert not same(whole.initial, whole.server), "training moved nothing"
    half = Run(replace(spec, train=replace(spec.train, rounds=1)))
    checkpoint.save(tmp_path, half.server, half.store)
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    resumed = Run(spec, start=loaded)
    assert params_sha256(resumed.server, resumed.store) == params_sha256(whole.server, whole.store)


@pytest.mark.parametrize("name", TRAINED)
def test_personal_state_never_travels_and_frozen_state_never_moves(name: str, toy_cache: Path) -> None:
    run = Run(toy_spec(toy_cache, name))
    personal = set(run.worker.personal_names())
    groups = {(row["direction"], row["group"]) for log in run.logs for row in log.ledger}
    assert ("upload", "delta") in groups
    assert ("download", "shared") in groups
    assert not personal & set(run.server.params)
    fresh = dict(Run(replace(run.spec, train=replace(run.spec.train, rounds=0))).worker.model.named_parameters())
    for parameter_name, parameter in run.worker.model.named_parameters():
        if parameter_name not in run.worker.initial:
            assert parameter.equal(fresh[parameter_name]), parameter_name


@pytest.mark.parametrize("name", TRAINED)
def test_the_ledger_is_the_sum_of_its_tensors(name: str, toy_cache: Path) -> None:
    run = Run(toy_spec(toy_cache, name))
    down = [r for r in run.logs[0].ledger if r["direction"] == "download" and r["group"] == "shared"]
    assert {row["bytes"] for row in down} == {tree.num_bytes(run.initial.params)}
    assert run.logs[0].row["upload_bytes"] == sum(
        row["bytes"] for row in run.logs[0].ledger if row["direction"] == "upload"
    )


def test_one_client_fedavg_is_plain_training(toy_cache: Path) -> None:
    """With one client a round's mean is that client's model: the server ends where the worker's model does."""
    spec = toy_spec(toy_cache, "fedavg", "train.rounds=1", "participation=0.01")
    run = Run(spec)
    for name, tensor in run.server.params.items():
        live = run.worker.moving[name].detach()
        assert (live - tensor).abs().max() <= 1e-6, name


def test_fedprox_with_mu_0_is_fedavg(toy_cache: Path) -> None:
    assert same(Run(toy_spec(toy_cache, "fedprox", mu=0.0)).server, Run(toy_spec(toy_cache, "fedavg")).server)


def test_fedprox_adds_mu_times_the_distance_to_the_gradient(toy_cache: Path) -> None:
    """One SGD step from w_t has no proximal gradient; a second one has mu (w - w_t) exactly."""
    plain, prox = (
        Run(toy_spec(toy_cache, "fedprox", "optimizer=sgd", "train.rounds=1", "local_steps=2", "participation=0.01",
                     "clip_norm=0", "lr=0.1", mu=mu))
        for mu in (0.0, 0.5)
    )  # fmt: skip
    one = Run(toy_spec(toy_cache, "fedprox", "optimizer=sgd", "train.rounds=1", "local_steps=1", "participation=0.01",
                       "clip_norm=0", "lr=0.1", mu=0.5))  # fmt: skip
    for name, start in plain.initial.params.items():
        expected = plain.server.params[name] - 0.1 * 0.5 * (one.server.params[name] - start)
        assert (prox.server.params[name] - expected).abs().max() < 1e-6, name


def test_wrong_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(Exception, match="Did you mean 'fedprox'"):
        toy_config("fedprx")
