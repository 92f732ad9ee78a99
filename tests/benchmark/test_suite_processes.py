"""Children of a suite end with it, with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmark.suites.processes import Processes
from fedmrg_core.paths import ROOT

TREE = """
import pathlib, signal, subprocess, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""
SUITE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
from benchmark.suites import execute, plan
from benchmark.suites.processes import Processes
real = Processes.run
Processes.run = lambda self, command, folder: real(self, [sys.executable, "-c", sys.argv[2], sys.argv[1]], folder)
execute.run_all([plan.Task("fedavg", "phantom/ci", 0, "tiny")], jobs=1)
"""


def grandchild(path: Path) -> int:
    """The process id that the child of the child wrote, once it is there."""
    for _ in range(600):
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError("nothing started")


def wait_until_gone(pid: int) -> None:
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return  # it has ended, and its new parent has not read its exit code yet
        time.sleep(0.05)
    raise AssertionError(f"process {pid} still runs")


@pytest.mark.parametrize("how", ["polite", "stubborn"])
def test_a_group_ends_as_a_whole(tmp_path, how):
    processes, done = Processes(), list[subprocess.CompletedProcess]()
    command = [sys.executable, "-c", TREE, str(tmp_path / "pid"), how]
    thread = threading.Thread(target=lambda: done.append(processes.run(command, tmp_path)))
    thread.start()
    pid = grandchild(tmp_path / "pid")
    processes.end(grace=0.2 if how == "stubborn" else 30)
    thread.join(30)
    assert done[0].returncode == (-signal.SIGKILL if how == "stubborn" else -signal.SIGTERM)
    wait_until_gone(pid)
    assert processes.run(command, tmp_path).returncode == -signal.SIGTERM  # nothing is started any more


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_suite_that_is_ended_ends_its_experiments(tmp_path, number):
    command = [sys.executable, "-c", SUITE, str(tmp_path / "pid"), TREE]
    suite = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        pid = grandchild(tmp_path / "pid")
        suite.send_signal(number)
        assert suite.wait(30) != 0
        wait_until_gone(pid)
    finally:
        suite.kill()
