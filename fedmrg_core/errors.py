"""Errors that their user can mend, and the one way to say "unknown name". Imports nothing heavy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sized
from math import inf


def one_line(text: str, length: int = 300) -> str:
    """A user's text as a message may show it: cut, and without newlines, NULs or terminal escapes.

    >>> one_line("two\\nlines")
    'two?lines'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text[:length])


def shortened(value: object, length: int = 60) -> str:
    """A value as a message may show it.

    >>> shortened("9" * 5000, 5)
    '99999..'
    """
    text = str(value)
    return text if len(text) <= length else text[:length] + ".."


def first_line(error: BaseException | str, last: bool = False) -> str:
    """The first (or last) line of a message that says anything; an exception without one gives its type's name.

    >>> first_line(ValueError("\\nbad magic\\nat byte 0"))
    'bad magic'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines:
        return lines[-1 if last else 0]
    return "" if isinstance(error, str) else type(error).__name__


class FedMRGError(Exception):
    """A mistake that its user can mend: printed as one line, without a stack trace; the exit code of the command."""

    exit_code = 2


class Interrupted(FedMRGError):
    """Ctrl-C, SIGTERM or SIGHUP, after what was done is safe; the message says how to go on. 130, as in a shell."""

    exit_code = 130


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
    raise error(f"unknown {what} '{shortened(value)}'.{hint} Allowed: {', '.join(names) or '(none)'}.")


def in_range(
    name: str, value: float, low: float = -inf, high: float = inf, *, above: bool = False, unit: str = ""
) -> None:
    """Raise ConfigError unless low <= value <= high (with `above`: low < value). NaN and infinity are in no range.

    >>> in_range("train.participation", 0.5, 0, 1, above=True)
    >>> in_range("train.rounds", -1, 0)
    Traceback (most recent call last):
    fedmrg_core.errors.ConfigError: train.rounds = -1 is out of range; allowed: 0 or more.
    """
    if not isinstance(value, int | float):
        raise ConfigError(f"{name} takes a number, not {shortened(repr(value))}.")
    if -inf < value < inf and low <= value <= high and not (above and value == low):
        return
    if high == inf:
        allowed = f"above {low}" if above else f"{low} or more"
    else:
        allowed = f"above {low}, at most {high}" if above else f"{low} to {high}"
    raise ConfigError(f"{name} = {shortened(value)} is out of range; allowed: {allowed}{unit and f' ({unit})'}.")


def not_empty(name: str, value: Sized) -> None:
    """Raise ConfigError for an empty text or list."""
    if not len(value):
        raise ConfigError(f"{name} is empty: at least one is needed.")
