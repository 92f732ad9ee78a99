"""A path with blanks, from which Ray starts no worker, is left through a link."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmark.run.path_with_spaces import LINK, avoid_blanks


def test_a_command_from_a_path_with_blanks_starts_again_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / "a b" / "env"
    (env / "bin").mkdir(parents=True)
    (env / "bin" / "python").touch()
    monkeypatch.setattr(sys, "prefix", str(env))
    monkeypatch.setattr(sys, "executable", str(env / "bin" / "python"))
    monkeypatch.setattr(sys, "argv", ["fedmrg", "bench", "--algo", "x y"])
    started: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *given: started.append(given))
    avoid_blanks()
    ((python, words, environment),) = started
    assert " " not in str(python)
    assert Path(python).resolve() == env / "bin" / "python"
    assert words[1:] == ["-m", "benchmark.cli", "bench", "--algo", "x y"]
    monkeypatch.setattr(sys, "prefix", str(Path(python).parents[1]))
    monkeypatch.setenv(LINK, environment[LINK])
    avoid_blanks()
    assert len(started) == 1
    assert LINK not in os.environ


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execve", lambda *given: pytest.fail("started again"))
    monkeypatch.setattr(sys, "prefix", "/no/blanks")
    avoid_blanks()
