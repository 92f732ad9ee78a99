"""The command line itself: logging, help, unknown commands."""

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


def test_every_command_has_help_and_verbosity(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "--help"])
        assert ended.value.code == 0
        assert "--verbose" in capsys.readouterr().out


def test_an_unknown_command_is_one_line_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bnch"]) == 2
    assert "Did you mean 'bench'" in capsys.readouterr().err
