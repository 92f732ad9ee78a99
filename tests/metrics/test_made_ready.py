"""METEOR made ready during a run: the table is cut in time, and no failure there fails the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedmrg_core.metrics import java as java_module

TEXTS = ["The heart is enlarged.", "Lungs are clear."]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started, in a world where METEOR is not ready."""
    monkeypatch.setattr(java_module, "is_ready", lambda texts: False)
    found: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            found.append(self)

    monkeypatch.setattr(java_module.subprocess, "Popen", Noted)
    return found


def test_the_block_waits_for_a_process_that_fails_and_goes_on(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with java_module.made_ready(TEXTS):
        pass
    assert [process.returncode for process in started] == [1]


def test_an_error_in_the_block_ends_the_process(started: list[subprocess.Popen[bytes]]) -> None:
    with pytest.raises(KeyboardInterrupt), java_module.made_ready(TEXTS * 10):
        raise KeyboardInterrupt
    assert [process.returncode for process in started] == [-15]


def test_without_java_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)
    monkeypatch.setattr(java_module.subprocess, "Popen", None)
    with java_module.made_ready(TEXTS):
        pass


@pytest.mark.slow
def test_after_the_block_meteor_is_ready_for_these_words(
    java: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDMRG_CACHE", str(tmp_path))
    assert not java_module.is_ready(TEXTS)
    with java_module.made_ready(TEXTS):
        pass
    assert java_module.is_ready(TEXTS)
    assert java_module.is_ready(["Clear lungs."])
