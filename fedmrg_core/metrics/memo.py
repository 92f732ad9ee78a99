"""What is known of texts already, so that none is measured twice."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from sys import intern
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item", bound=Hashable)

Row = tuple[str, Any, Any]
"""(kind, item, value)"""


class Memo:
    """Values by kind and item (a text, or a pair of texts). What a metric says of one item must not depend on the items
    beside it."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Any, Any]] = {}

    def values(self, kind: str, items: Sequence[Item], measure: Callable[[list[Item]], Iterable[Any]]) -> list[Any]:
        """A value an item, in their order; `measure` is asked once, for those distinct ones that are not known yet.

        >>> Memo().values("length", ["one", "three", "one"], lambda texts: [len(text) for text in texts])
        [3, 5, 3]
        """
        known = self._known.setdefault(kind, {})
        new = [item for item in dict.fromkeys(items) if item not in known]
        if new:
            known.update(zip(new, measure(new), strict=True))
        return [known[item] for item in items]

    def rows(self) -> list[Row]:
        """All that is known, as JSON can hold it."""
        return [
            (kind, item, value if isinstance(value, str) else np.asarray(value).tolist())
            for kind, values in self._known.items()
            for item, value in values.items()
        ]

    def learn(self, rows: Iterable[Row]) -> None:
        """Take over `rows()` of another one, also after JSON made lists of its pairs."""
        for kind, item, value in rows:
            key = intern(item) if isinstance(item, str) else tuple(map(intern, item))
            kept = intern(value) if isinstance(value, str) else np.array(value)
            self._known.setdefault(kind, {})[key] = kept
