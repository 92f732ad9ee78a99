"""Every package that is imported is declared in pyproject.toml and pinned in constraints.txt."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from fedmrg_core.paths import ROOT

OWN = {"fedmrg_core", "benchmark", "tests"}
FLOWER = ROOT / "benchmark/perf/flower.py"
"""Runs in an environment of its own."""


def imported(folder: str) -> set[str]:
    """Top-level names of all imports in a folder, outside the standard library and the project."""

    def names(path: Path) -> Iterator[str]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module

    found = {name.split(".")[0] for path in (ROOT / folder).rglob("*.py") if path != FLOWER for name in names(path)}
    return found - set(sys.stdlib_module_names) - OWN


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    """Distributions of pyproject.toml, with those of the extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [one for extra in extras for one in project["optional-dependencies"][extra]]
    return {normal(re.split(r"[<>=!~\[ ;]", one)[0]) for one in wanted}


def undeclared(names: set[str], known: set[str]) -> set[str]:
    owners = packages_distributions()
    return {name for name in names if not {normal(one) for one in owners.get(name, [name])} & known}


def test_what_the_program_imports_is_declared() -> None:
    assert undeclared(imported("fedmrg_core") | imported("benchmark"), declared("radeval")) == set()


def test_what_the_tests_import_is_declared() -> None:
    own = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    assert undeclared(imported("tests") - own, declared("radeval", "dev")) == set()


def test_what_is_declared_is_pinned() -> None:
    pins = {normal(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert declared("dev") - pins == set()
