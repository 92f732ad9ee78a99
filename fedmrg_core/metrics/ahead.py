"""Metrics off the critical path: reports are measured, in a process of its own, while others are being written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread

from fedmrg_core.metrics import java, nlg
from fedmrg_core.metrics.memo import Memo, Row
from fedmrg_core.metrics.scorecard import labeler_of, labels_of
from fedmrg_core.metrics.text import CONVENTIONS

Pair = tuple[str, str]


class Ahead:
    """Fills a `Memo`, one batch of pairs after the other. It changes no score: what it does not get to, or what fails
    in it, the scorecard does itself."""

    LEAST = 2000
    """Pairs of a batch: three programs are started for each, so that fewer are not worth it."""

    def __init__(self, reports: Iterable[str], labeler: str, weights: str) -> None:
        """reports: those that will be referred to: METEOR is made ready for their words first (10 s, once a data set).
        labeler, weights: as `scorecard` takes them."""
        self._memo, self._labeler = Memo(), (labeler, weights)
        self._waiting: list[Pair] = []
        self._jobs: SimpleQueue[tuple[list[str], list[Pair]] | Event | None] = SimpleQueue()
        self._jobs.put((list(dict.fromkeys(reports)), []))
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, references: Sequence[str], hypotheses: Sequence[str]) -> None:
        """Pairs that are written; measured as soon as there are enough and no others wait."""
        self._waiting += zip(references, hypotheses, strict=True)
        if len(self._waiting) >= self.LEAST and self._jobs.empty():
            batch, self._waiting = self._waiting, []
            self._jobs.put(([], batch))

    def wait(self) -> None:
        """Until nothing is under way."""
        idle = Event()
        self._jobs.put(idle)
        idle.wait()

    def known(self) -> Memo:
        """What was measured; waits for what is under way."""
        self._jobs.put(None)
        self._thread.join()
        return self._memo

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if isinstance(job, Event):
                job.set()
                continue
            texts, pairs = job
            with suppress(java.JavaMissing, OSError, subprocess.SubprocessError, ValueError):
                if pairs or not java.is_ready(texts):
                    self._memo.learn(_asked(texts, pairs, *self._labeler))


def _asked(*given: object) -> list[Row]:
    """`_measured`, in another process: in a thread, Python would hold up whoever drives the workers."""
    text = json.dumps(given).encode()
    done = subprocess.run([sys.executable, "-m", __name__], input=text, capture_output=True, check=True)
    rows: list[Row] = json.loads(done.stdout)
    return rows


def _measured(texts: list[str], pairs: list[Pair], labeler: str, weights: str) -> list[Row]:
    """METEOR made ready for texts, and what there is to know of pairs."""
    memo = Memo()
    if texts:
        java.make_ready(texts)
    if pairs:
        references, hypotheses = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        labels_of([*references, *hypotheses], labeler_of(labeler, weights), memo)
        nlg.measures(references, hypotheses, ["all"] * len(pairs), CONVENTIONS, memo)
    return memo.rows()


if __name__ == "__main__":
    os.nice(10)
    print(json.dumps(_measured(*json.load(sys.stdin))))
