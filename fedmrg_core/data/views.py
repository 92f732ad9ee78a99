"""The second view of a study, for sources that have one."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from fedmrg_core.data.source import Source
from fedmrg_core.errors import DataError


@runtime_checkable
class HasLateral(Protocol):
    """A source that can give a lateral film beside the frontal one."""

    def use_lateral(self) -> None:
        """From now on `image` gives both, uint8 [2, size, size], and `image_key` is of both. A study without a lateral
        film gives its frontal one twice. Raises DataError where no study has one."""


def with_lateral(source: Source) -> None:
    """Make a source give two views. Raises DataError where it has but one."""
    if not isinstance(source, HasLateral):
        raise DataError(f"model.views = 2, and {source.name} has one film per study; use views=1")
    source.use_lateral()
