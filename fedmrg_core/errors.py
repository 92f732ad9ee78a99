"""Errors that their user can mend, and the one way to say "unknown name". Imports nothing heavy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FedMRGError(Exception):
    """A mistake that its user can mend: printed as one line, without a stack trace; exit code 2."""


class DataError(FedMRGError):
    """Bad input data. The message names the file, the row where there is one, and what to do."""

    def __init__(self, message: str, file: str = "", row: int | None = None) -> None:
        where = f"{file}, row {row}: " if file and row is not None else f"{file}: " if file else ""
        super().__init__(where + message)
        self.file, self.row = file, row


class ConfigError(FedMRGError):
    """A wrong setting: names the value, the allowed values and the nearest one."""


def choose(what: str, value: str, allowed: Iterable[str], error: type[FedMRGError] = ConfigError) -> str:
    """Return `value` if it is one of `allowed`; otherwise raise `error` with the nearest name.

    >>> choose("preset", "tiny", ["tiny", "paper"])
    'tiny'
    """
    names = sorted(allowed)
    if value in names:
        return value
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise error(f"unknown {what} '{value}'.{hint} Allowed: {', '.join(names) or '(none)'}.")
