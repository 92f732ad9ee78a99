"""The command line itself: its log, and output that cannot be shown or written."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from benchmark import cli
from fedmrg_core.paths import ROOT


@pytest.fixture
def loggers() -> Iterator[None]:
    """The project's loggers, as they were, after the test."""
    found = [logging.getLogger(name) for name in ("fedmrg_core", "benchmark")]
    before = [(one.handlers, one.level) for one in found]
    yield
    for one, (handlers, level) in zip(found, before, strict=True):
        one.handlers = handlers
        one.setLevel(level)


@pytest.mark.usefixtures("loggers")
@pytest.mark.parametrize(("verbose", "shown"), [(0, []), (1, ["info"]), (2, ["info", "debug"])])
def test_verbose_shows_the_log_of_engine_and_data(
    verbose: int, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    cli.log_to_stderr(verbose)
    for name in ("fedmrg_core.engine.rounds", "fedmrg_core.data.table"):
        logging.getLogger(name).info("info")
        logging.getLogger(name).debug("debug")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in lines] == [*shown, *shown]


def fedmrg(*words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmark.cli", *words]
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **settings)


def test_output_that_cannot_be_written_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = fedmrg("--help", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "fedmrg: standard output cannot be written: No space left on device\n"


def test_a_reader_that_has_enough_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = fedmrg("--help", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_standard_output_is_no_error() -> None:
    done = fedmrg("--help", preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_unicode_shows_escapes() -> None:
    done = fedmrg("bench", "--algo", "fedävg", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert r"unknown algorithm 'fed\xe4vg'" in done.stderr


def test_terminal_escapes_of_a_name_do_not_reach_the_terminal() -> None:
    done = fedmrg("bench", "--algo", "\x1b[31mfedavg\n\x07")
    assert done.stderr.startswith("fedmrg: unknown algorithm '?[31mfedavg??'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_file_that_cannot_be_written_is_one_line(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(given: list[str]) -> int:
        raise OSError(number, os.strerror(number), "/cache/films")

    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main([]) == 2
    assert capsys.readouterr().err == f"fedmrg: /cache/films: {os.strerror(number)}\n"
