"""`fedmrg regress`: exit codes, reports, and what renewing refuses."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark import cli
from benchmark.commands import regress
from benchmark.gate import measure
from benchmark.gate.expectations import Measured, Numbers, as_text, read
from benchmark.run import provenance
from fedmrg_core.paths import ROOT

RUN = Numbers({"base_key": "key"}, {"params_sha256": "a" * 64}, ["0001"], {"round1/loss": 2.0})
NAMES = ("fedavg phantom/gate s0", "fedprox phantom/gate s0", "fedlora phantom/gate s0", "fedmrg phantom/gate s0")
MEASURED = Measured(
    {"bench_version": "2", "suite": "gate", "git_sha": "c" * 40}, {"model": "m"}, {}, dict.fromkeys(NAMES, RUN)
)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command on a suite that gives `now`, and a base with key `key`; returns the exit code."""
    (tmp_path / "gate.json").write_text(as_text(MEASURED))

    def run(*words: str, now: Measured = MEASURED, key: str = "key") -> int:
        monkeypatch.setattr(measure.Inputs, "base_key", lambda self, config: key)
        monkeypatch.setattr(measure, "measure_suite", lambda *given: now)
        return cli.main(["regress", "--expected", str(tmp_path / "gate.json"), *words])

    return run


def test_equal_numbers_are_0_and_a_moved_one_is_1(gate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate() == 0
    assert "0 moved" in capsys.readouterr().out
    moved = replace(MEASURED, runs={**MEASURED.runs, NAMES[3]: replace(RUN, values={"round1/loss": 2.1})})
    assert gate(now=moved) == 1
    assert "!   round1/loss" in capsys.readouterr().out


def test_another_base_is_1_before_anything_runs(gate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate(now=replace(MEASURED, runs={}), key="other") == 1
    said = capsys.readouterr().out
    assert said.count("!   base_key") == 4
    assert "nothing was run" in said


def test_what_cannot_run_is_3(gate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gate("--suite", "gat") == 3
    assert cli.main(["regress", "--expected", str(tmp_path / "none.json")]) == 3

    def crash(*given: Any) -> None:
        raise RuntimeError("a crash")

    monkeypatch.setattr(regress, "compare", crash)
    assert gate("--junit", str(tmp_path / "junit.xml")) == 3
    assert 'error message="RuntimeError: a crash"' in (tmp_path / "junit.xml").read_text()


def test_reports_are_written(gate: Any, tmp_path: Path) -> None:
    (tmp_path / "summary").write_text("before\n")
    assert gate("--junit", str(tmp_path / "junit.xml"), "--markdown", str(tmp_path / "summary")) == 0
    assert (tmp_path / "junit.xml").read_text().count("<testcase") == 22
    assert (tmp_path / "summary").read_text().startswith("before\n### ✅ fedmrg regress")


def test_renewing_measures_every_variant_and_refuses_a_dirty_tree(
    gate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "collect", lambda root, device: {"dirty": True})
    assert gate("--update") == 3
    monkeypatch.setattr(provenance, "collect", lambda root, device: {"dirty": False})
    here = replace(RUN, values={"round1/loss": 3.0})

    def measured(args: Any, folder: Path, variant: Any) -> Measured:
        value = here if variant is None else replace(RUN, values={"round1/loss": 3.0 + variant.last_bits})
        return replace(MEASURED, runs=dict.fromkeys(NAMES, value))

    monkeypatch.setattr(regress, "_measured", measured)
    other = tmp_path / "other.json"
    other.write_text(as_text(replace(MEASURED, runs=dict.fromkeys(NAMES, replace(RUN, values={"round1/loss": -4.0})))))
    assert gate("--update", "--also", str(other)) == 0
    made = read(tmp_path / "gate.json")
    assert made.runs[NAMES[0]].values == {"round1/loss": 3.0}
    assert made.runs[NAMES[0]].spread == {"round1/loss": 7.0}
    assert made.spread_of[-1] == "machine of other.json"


def test_numbers_are_written_and_nothing_is_compared(gate: Any, tmp_path: Path) -> None:
    assert gate("--numbers", str(tmp_path / "here.json")) == 0
    assert json.loads((tmp_path / "here.json").read_text())["machine"] == {"model": "m"}


def test_the_workflow_to_copy_calls_this_command() -> None:
    yaml = pytest.importorskip("yaml")
    steps = yaml.safe_load((ROOT / "docs/github/regress.yml").read_text())["jobs"]["regress"]["steps"]
    (command,) = [step["run"] for step in steps if "regress" in step.get("run", "")]
    parser = argparse.ArgumentParser()
    regress.configure(parser)
    program, name, *words = shlex.split(command)
    assert (program, name) == (".venv/bin/fedmrg", "regress")
    assert parser.parse_args(words).junit == Path("regress.xml")
