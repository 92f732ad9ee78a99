"""Every registered algorithm is a frozen, documented dataclass, and has a config."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass

import pytest

from benchmark.run import settings
from fedmrg_core.algorithms.base import Algorithm, register
from fedmrg_core.algorithms.registry import algorithms, get
from fedmrg_core.errors import ConfigError


@pytest.mark.parametrize("name", sorted(algorithms()))
def test_is_a_frozen_documented_dataclass_with_a_config(name: str) -> None:
    cls = get(name)
    assert is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    docs = [inspect.getdoc(base) or "" for base in cls.__mro__]
    assert [f.name for f in fields(cls) if not any(f.name in doc for doc in docs)] == []
    assert any(settings.load(algo).method == name for algo in settings.algorithm_names())


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'fedprox'"):
        get("fedprx")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="two algorithms are registered as 'fedavg'"):
        register("fedavg")(Algorithm)
