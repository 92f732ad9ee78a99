"""What a run says on stderr while it works: a line at each stage, and how far rounds and batches are.

    progress = Progress()
    progress.say("data: phantom/group")
    with progress.steps("round", rounds, every=10) as steps:
        steps.at(1, note="loss 1.234")

On a terminal steps are a bar. Elsewhere (a log file, CI) they are lines, a few per minute.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from fedmrg_core.duration import duration

EVERY_S = 30.0
"""Seconds after which a step is reported, where there is no bar."""


class Progress:
    """quiet: say nothing. `bars` tells whether there is a terminal to draw bars on."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.bars = not quiet and sys.stderr is not None and sys.stderr.isatty()

    def say(self, text: str) -> None:
        """One line on stderr."""
        if not self.quiet and sys.stderr is not None:
            print(f"fedmrg: {text}", file=sys.stderr, flush=True)

    def steps(self, name: str, total: int = 0, done: int = 0, every: int = 0) -> Steps:
        """A stage that consists of steps. total: 0 = known later. every: without a terminal, report each step whose
        number is a multiple of it; 0 = by time alone."""
        return Steps(self, name, total, done, every)


class Steps:
    """The steps of one stage; a context manager."""

    def __init__(self, progress: Progress, name: str, total: int, done: int, every: int) -> None:
        from tqdm import tqdm

        self._progress, self._name, self._every = progress, name, every
        self.total, self._first = total, done
        self._bar = tqdm(total=total or None, initial=done, desc=name, unit=name, disable=not progress.bars)
        self._start = self._said = time.monotonic()

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def at(self, done: int, total: int = 0, note: str = "") -> None:
        """So many steps are done. total: if it was not known before."""
        self.total = total or self.total
        if self._progress.bars:
            self._move(self._bar, done, note)
        elif self._is_due(done):
            self._said = time.monotonic()
            parts = [f"{self._name} {done} of {self.total}", note, f"{self._left(done)} left"]
            self._progress.say(", ".join(part for part in parts if part))

    def _move(self, bar: Any, done: int, note: str) -> None:
        bar.total = self.total
        bar.set_postfix_str(note, refresh=False)
        bar.update(done - bar.n)

    def _is_due(self, done: int) -> bool:
        counted = bool(self._every) and done % self._every == 0
        return counted or done == self.total or time.monotonic() - self._said >= EVERY_S

    def _left(self, done: int) -> str:
        """The time left if the remaining steps take as long as those so far."""
        taken = time.monotonic() - self._start
        return duration(taken / max(1, done - self._first) * max(0, self.total - done))
