"""The pages are true: every command in them parses, every file and link in them is there, nothing is of one machine."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess

import pytest

from benchmark import cli
from benchmark.bootstrap import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "leaderboards/*.md")
    for path in ROOT.glob(pattern)
)
SHELL_BLOCK = re.compile(r"```(?:sh|bash|console)\n(.*?)```", re.DOTALL)
TOML_BLOCK = re.compile(r"```toml\n(.*?)```", re.DOTALL)
INLINE_COMMAND = re.compile(r"`((?:fedmrg|make) [^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PLACE = re.compile(r"`((?:benchmark|fedmrg_core|docs|tests|splits|leaderboards)/[^`\s<>{}$]*)`")


def text(page: str) -> str:
    return (ROOT / page).read_text()


def commands(page: str) -> list[str]:
    """`fedmrg ..` and `make ..` commands of a page: lines of shell blocks, and code within a sentence."""
    blocks = "\n".join(SHELL_BLOCK.findall(text(page))).replace("\\\n", " ")
    lines = [line.removeprefix("$ ").split(" #")[0].strip() for line in blocks.splitlines()]
    prose = re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)
    found = [line for line in lines if re.match(r"([A-Z_]+=\S+ )*(fedmrg|make)\b", line)] + INLINE_COMMAND.findall(
        prose
    )
    return sorted({re.sub(r"^([A-Z_]+=\S+ )+", "", command) for command in found})


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


def all_commands() -> list[str]:
    return sorted({command for page in PAGES for command in commands(page)})


@pytest.fixture
def beside_the_fault_file(tmp_path, monkeypatch):
    """A working directory where `faults.toml` is the one that the page shows."""
    (block,) = (block for block in TOML_BLOCK.findall(text("docs/scaling-out.md")) if "[[fault]]" in block)
    (tmp_path / "faults.toml").write_text(block)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("beside_the_fault_file")
@pytest.mark.parametrize("command", all_commands())
def test_every_command_in_the_pages_parses(command):
    name, *words = shlex.split(command)
    for call in made(words) if name == "make" else [words]:
        args = dry_parse(call)
        if call[0] == "bench" and args and not args.resume and not args.data:
            from benchmark.commands.bench import DEFAULT, _config

            assert _config(args).name == (args.algo or DEFAULT)


@pytest.mark.parametrize("page", PAGES)
def test_every_script_in_a_page_is_one(page):
    for script in (block for block in SHELL_BLOCK.findall(text(page)) if block.startswith("#!")):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_file_in_a_page_is_there(page):
    folder = (ROOT / page).parent
    for target in LINK.findall(text(page)):
        if target.startswith(("https://", "#")):
            continue
        path, _, heading = target.partition("#")
        assert (folder / path).exists(), f"{page}: {target}"
        if heading:
            titles = re.findall(r"(?m)^#+ (.*)$", (folder / path).read_text())
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    for place in PLACE.findall(text(page)):
        plain = re.sub(r"[:#].*$", "", place)
        assert list(ROOT.glob(plain.rstrip("/"))) or (ROOT / plain).exists(), f"{page}: {place}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_holds_no_path_of_one_machine(page):
    assert not re.search(r"(?<![\w.])/(work|tmp|home|root|Users)/", text(page))


def test_help_names_every_target_and_every_command(capsys):
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    targets = re.findall(r"(?m)^\.PHONY: (.*)$", text("Makefile"))
    assert done.returncode == 0
    assert [target for target in targets if f"\n  {target} " not in done.stdout] == []
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in cli.COMMANDS if f"  {name} " not in shown] == []


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_subcommand_shows_its_options(name, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([name, "--help"])
    assert left.value.code == 0
    assert "usage: fedmrg " + name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bensh"], "unknown command 'bensh'. Did you mean 'bench'?"),
        (["suite", "fantom"], "unknown suite 'fantom'. Did you mean 'phantom'?"),
        (["bench", "--algo", "fedmgr"], "unknown algorithm 'fedmgr'."),
        (["bench", "--set", "rouns=3"], "unknown setting 'rouns'. Did you mean 'rounds'?"),
        (["bench", "--algo", "fedavg", "--set", "guidance=2"], "'guidance' is a setting of fedlora-dx, fedmrg"),
        (["bench", "--set", "guidance=-1"], "algorithm.guidance = -1.0 is out of range; allowed: 0 to 10"),
        (["score", "tests"], "tests: a folder: give a table of reports (for a run: fedmrg score --run RUN_ID)"),
        (["sync", "no-such-run"], "unknown run 'no-such-run'."),
        (["suite", "phantom", "--jobs", "0"], "--jobs = 0 is out of range"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(words, message, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fedmrg: {message}")
    assert error.count("\n") == 1


def test_the_cheap_commands_of_the_readme_run(capsys):
    assert cli.main(["suite", "phantom", "--list"]) == 0
    assert cli.main(["leaderboard", "--check"]) == 0
    assert cli.main(["ui", "--print"]) == 0
    assert "127.0.0.1" in capsys.readouterr().out
