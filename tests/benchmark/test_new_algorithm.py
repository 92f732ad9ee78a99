"""`fedmrg new-algorithm`: what it writes passes the tests of all algorithms at once; a bad name costs one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import cli
from fedmrg_core.paths import ROOT


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fedprox", "'fedprox' exists already (fedmrg_core/algorithms/fedprox.py"),
        ("base", "'base' exists already"),
        ("fedmrg-lite", "'fedmrg-lite' exists already (benchmark/configs/algos/fedmrg-lite.toml)"),
        ("fed_x", "'fed_x' cannot be an algorithm's name"),
        ("../x", "'../x' cannot be an algorithm's name"),
        ("lambda", "'lambda' cannot be an algorithm's name"),
        ("FedX", "'FedX' cannot be an algorithm's name"),
    ],
)
def test_a_bad_or_existing_name_is_refused_in_one_line(
    name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((ROOT / "fedmrg_core" / "algorithms").iterdir())
    assert cli.main(["new-algorithm", name]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fedmrg: {words}")
    assert error.count("\n") == 1
    assert sorted((ROOT / "fedmrg_core" / "algorithms").iterdir()) == before


@pytest.mark.slow
def test_the_three_files_pass_the_tests_of_all_algorithms(toy_cache: Path, tmp_path: Path) -> None:
    for part in ("fedmrg_core", "benchmark", "tests", "splits"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "FEDMRG_TOY_CACHE": str(toy_cache)}

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("benchmark.cli", "new-algorithm", "fed-demo").splitlines()[:3] == [
        "fedmrg_core/algorithms/fed_demo.py",
        "benchmark/configs/algos/fed-demo.toml",
        "tests/algorithms/test_fed_demo.py",
    ]
    shown = run("pytest", "tests/algorithms", "-k", "fed-demo or fed_demo", "-p", "no:cacheprovider", "-vv")
    for test in ("strength_0_is_fedavg", "documented_dataclass", "a_resumed_run_ends", "the_ledger_is_the_sum"):
        assert test in shown
    assert run("ruff", "check", "-q", "fedmrg_core/algorithms", "tests/algorithms") == ""
