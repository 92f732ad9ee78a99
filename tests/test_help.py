"""The help of `make` and `fedmrg` names everything, and every subcommand shows its options."""

from __future__ import annotations

import re
import subprocess

import pytest

from benchmark import cli
from fedmrg_core.paths import ROOT
from tests.pages import text


def test_make_names_every_target() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    targets = re.findall(r"(?m)^\.PHONY: (.*)$", text("Makefile"))
    assert done.returncode == 0
    assert targets
    assert [target for target in targets if f"\n  {target} " not in done.stdout] == []


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in cli.COMMANDS if f"  {name} " not in shown] == []


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_subcommand_shows_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: fedmrg " + name in shown
    assert "--verbose" in shown
