"""Variables of make reach the command line whole, and a misspelt one is refused with the right name."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from fedmrg_core.paths import ROOT


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)


def call(*words: str) -> list[str]:
    """The words of the `fedmrg` call that a make command comes down to."""
    done = make(*words)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(".venv/bin/fedmrg ")]
    return shlex.split(line)[1:]


@pytest.mark.parametrize("folder", ["/data/it's mine", "/data/a b", "/data/$$HOME", "/data/`x`", '/data/"q"'])
def test_a_folder_reaches_the_command_line_as_it_is(folder: str) -> None:
    words = call("bench", f"DATA={folder}", "ROUNDS=3")
    assert words[words.index("--data") + 1] == folder.replace("$$", "$")
    assert call("doctor", f"DATA={folder}") == ["doctor", folder.replace("$$", "$")]


def test_set_holds_several_settings() -> None:
    words = call("bench", "SET=train.rounds=2 lr=0.1")
    assert words[words.index("--set") + 1 :] == ["train.rounds=2", "lr=0.1"]


TYPING_ERRORS = [("algo", "ALGO"), ("ROUND", "ROUNDS"), ("Seed", "SEED"), ("SPLITS", "SPLIT")]


@pytest.mark.parametrize(("given", "meant"), TYPING_ERRORS)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(given: str, meant: str) -> None:
    done = make("bench", f"{given}=3")
    assert done.returncode == 2
    assert f"unknown variable {given}: did you mean {meant}?" in done.stderr


def test_variables_of_other_programs_pass() -> None:
    assert call("bench", "MLFLOW_TRACKING_URI=http://x", "CUDA_VISIBLE_DEVICES=0")[0] == "bench"
