"""Metrics off the critical path: reports are measured, in a process of its own, while others are being written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from queue import SimpleQueue
from threading import Event, Thread

from fedmrg_core.metrics import java, nlg
from fedmrg_core.metrics.memo import Memo, Row
from fedmrg_core.metrics.nlg import Pair
from fedmrg_core.metrics.scorecard import labeler_of, labels_of
from fedmrg_core.metrics.text import CONVENTIONS


class Ahead:
    """Fills a `Memo`, one batch of pairs after the other. It changes no score: what it does not get to, or what fails
    in it, the scorecard does itself."""

    LEAST, MOST = 2000, 8000
    """Pairs of a batch: three programs are started for each, so that fewer are not worth it."""

    def __init__(self, reports: Iterable[str], labeler: str) -> None:
        """reports: those that will be referred to: METEOR is made ready for their words first (10 s, once a data set).
        labeler: as `scorecard` takes it, by name."""
        self._memo, self._labeler = Memo(), labeler
        self._waiting: list[Pair] = []
        self._jobs: SimpleQueue[tuple[list[str], list[Pair]] | Event | None] = SimpleQueue()
        self._jobs.put((list(dict.fromkeys(reports)), []))
        self._process: subprocess.Popen[bytes] | None = None
        self._ends = False
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, references: Sequence[str], hypotheses: Sequence[str]) -> None:
        """Pairs that are written; measured as soon as there are enough and no others wait."""
        self._waiting += zip(references, hypotheses, strict=True)
        if len(self._waiting) >= self.LEAST and self._jobs.empty():
            batch, self._waiting = self._waiting[: self.MOST], self._waiting[self.MOST :]
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

    def stop(self) -> None:
        """Give up, for a run that ends before its scores; after `known` nothing is left to stop."""
        self._ends = True
        if self._process is not None:
            self._process.terminate()
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if isinstance(job, Event):
                job.set()
            elif not self._ends:
                try:
                    self._memo.learn(self._asked(*job))
                except Exception:  # with the next batch it would be the same
                    self._ends = True

    def _asked(self, texts: list[str], pairs: list[Pair]) -> list[Row]:
        """`_measured`, in another process: in a thread, Python would hold up whoever drives the workers."""
        if not pairs and java.is_ready(texts):
            return []
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if self._ends:
            self._process.terminate()
        said, _ = self._process.communicate(json.dumps((texts, pairs, self._labeler)).encode())
        rows: list[Row] = json.loads(said)
        return rows


def _measured(texts: list[str], pairs: list[Pair], labeler: str) -> list[Row]:
    """METEOR made ready for texts, and what there is to know of pairs. Labels by the rules only: CheXbert would be
    loaded anew for each batch."""
    memo = Memo()
    if texts:
        java.make_ready(texts)
    if pairs:
        references, hypotheses = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if labeler == "rules":
            labels_of([*references, *hypotheses], labeler_of(labeler), memo)
        nlg.measures(references, hypotheses, ["all"] * len(pairs), CONVENTIONS, memo)
    return memo.rows()


if __name__ == "__main__":
    os.nice(10)
    print(json.dumps(_measured(*json.load(sys.stdin))))
