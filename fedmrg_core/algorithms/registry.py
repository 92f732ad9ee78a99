"""Finds algorithms by name. Every module of this package is imported, and its `@register` makes it known."""

from __future__ import annotations

from fedmrg_core.algorithms.base import REGISTRY, Algorithm
from fedmrg_core.errors import choose
from fedmrg_core.registration import import_files


def algorithms() -> dict[str, type[Algorithm]]:
    """Every registered algorithm, by name."""
    import_files("fedmrg_core.algorithms")
    return dict(sorted(REGISTRY.items()))


def get(name: str) -> type[Algorithm]:
    """The class registered as `name`; a ConfigError with the nearest name otherwise."""
    known = algorithms()
    return known[choose("method", name, known)]
