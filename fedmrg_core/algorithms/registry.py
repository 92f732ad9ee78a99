"""Finds algorithms by name. Every module of this package is imported, and its `@register` makes it known."""

from __future__ import annotations

import importlib
import pkgutil

import fedmrg_core.algorithms as package
from fedmrg_core.algorithms.base import REGISTRY, Algorithm
from fedmrg_core.errors import choose


def algorithms() -> dict[str, type[Algorithm]]:
    """Every registered algorithm, by name."""
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(REGISTRY.items()))


def get(name: str) -> type[Algorithm]:
    """The class registered as `name`; a ConfigError with the nearest name otherwise."""
    known = algorithms()
    return known[choose("method", name, known)]
