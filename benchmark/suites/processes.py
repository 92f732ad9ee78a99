"""Child processes that end with their parent: each leads a process group, which is ended as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

GRACE_S = 30.0
"""Seconds that a run has after SIGTERM to write its checkpoint and stop Ray; then it is killed."""


class Processes:
    """The processes of a suite that are running now. Safe to use from several threads."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def run(self, command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Like `subprocess.run` with captured output; after `end`, nothing is started and the exit code is -15."""
        with self._lock:
            if self._ended:
                return subprocess.CompletedProcess(command, -signal.SIGTERM, "", "not started")
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                process_group=0,
            )
            self._running.add(process)
        try:
            out, err = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def end(self, grace: float = GRACE_S) -> None:
        """Ask every group to stop; after `grace` seconds, or a second Ctrl-C, kill what still runs."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            _signal_group(process, signal.SIGTERM)
        try:
            deadline = time.monotonic() + grace
            while any(process.poll() is None for process in running) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            for process in running:
                _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[str], number: int) -> None:
    """The group lives as long as any of its processes, also after its leader has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
