"""Every command and script in the pages parses; the cheap ones run."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from benchmark import cli
from fedmrg_core.paths import ROOT
from tests.pages import PAGES, code_block, code_blocks, text

INLINE_COMMAND = re.compile(r"`((?:fedmrg|make) [^`\n]+)`")


def commands(page: str) -> list[str]:
    """`fedmrg ..` and `make ..` commands of a page: lines of shell blocks, and code within a sentence."""
    blocks = "\n".join(code_blocks(text(page), "sh", "bash", "console")).replace("\\\n", " ")
    lines = [line.removeprefix("$ ").split(" #")[0].strip() for line in blocks.splitlines()]
    shown = [line for line in lines if re.match(r"([A-Z_]+=\S+ )*(fedmrg|make)\b", line)]
    prose = re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)
    return sorted({re.sub(r"^([A-Z_]+=\S+ )+", "", line) for line in shown + INLINE_COMMAND.findall(prose)})


def dry_parse(words: list[str]) -> argparse.Namespace | None:
    """Parse `fedmrg` arguments as the command line would, and run nothing."""
    if not words or words == ["--help"]:
        return None
    module = importlib.import_module(cli.COMMANDS[words[0]][0])
    parser = cli._Parser(prog=f"fedmrg {words[0]}", allow_abbrev=False)
    module.configure(parser)
    return None if "--help" in words else parser.parse_args(words[1:])


def made(words: list[str]) -> list[list[str]]:
    """The `fedmrg` calls that a make command comes down to."""
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    calls = [shlex.split(line) for line in done.stdout.splitlines() if line.startswith(".venv/bin/fedmrg ")]
    return [call[1:] for call in calls]


@pytest.fixture
def beside_the_fault_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory where `faults.toml` is the one that the page shows."""
    (tmp_path / "faults.toml").write_text(code_block("faults.md", "toml", "[[fault]]"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("beside_the_fault_file")
@pytest.mark.parametrize("command", sorted({command for page in PAGES for command in commands(page)}))
def test_every_command_in_the_pages_parses(command: str) -> None:
    name, *words = shlex.split(command)
    for call in made(words) if name == "make" else [words]:
        args = dry_parse(call)
        if call[0] == "bench" and args and not args.resume and not args.data and not args.tuned:
            from benchmark.commands.bench import DEFAULT, _config

            assert _config(args).name == (args.algo or DEFAULT)


@pytest.mark.parametrize("page", PAGES)
def test_every_script_in_a_page_is_one(page: str) -> None:
    for script in (block for block in code_blocks(text(page), "sh", "bash") if block.startswith("#!")):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_list_of_algorithms_is_the_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["algorithms", "--check"]) == 0, capsys.readouterr().out


def test_the_cheap_commands_of_the_readme_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["suite", "phantom", "--list"]) == 0
    assert cli.main(["leaderboard", "--check"]) == 0
    assert cli.main(["ui", "--print"]) == 0
    assert "127.0.0.1" in capsys.readouterr().out
