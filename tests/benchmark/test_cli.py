"""The command line's log: silent, `-v`, `-vv`."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from benchmark import cli


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
