"""Set-up installs through uv where there is one, from pip's sources and with the pinned versions; else through pip."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import pytest

from benchmark import bootstrap
from fedmrg_core.paths import ROOT

FAKE = """#!{python}
import json, os, sys
words = sys.argv[1:]
if words[:3] == ["-m", "pip", "config"]:
    print("global.find-links='/global'")
    print("global.extra-index-url='https://a.example/simple https://b.example/simple'")
    print("global.cert='/certificates.pem'")
    print(":env:.find-links='/wheels'")
    sys.exit()
with open({log!r}, "a") as log:
    log.write(json.dumps([os.path.basename(sys.argv[0]), words, os.environ.get("SSL_CERT_FILE")]) + "\\n")
sys.exit({code} if os.path.basename(sys.argv[0]) == "uv" or words[:2] == ["-m", "uv"] else 0)
"""


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def fake(folder: Path, name: str, log: Path, code: int = 0) -> Path:
    """A program that notes how it was called, and answers `pip config list`."""
    (folder / name).write_text(FAKE.format(python=sys.executable, log=str(log), code=code))
    (folder / name).chmod(0o755)
    return folder / name


def calls(log: Path) -> list[tuple[str, list[str], str | None]]:
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()]


def pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(itertools.pairwise(words))


def test_uv_gets_the_pinned_versions_and_the_sources_of_pip(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    python = fake(tmp_path, "python", log)
    fake(tmp_path, "uv", log)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.install(python, "-e", ".[dev]") == 0
    ((name, words, certificates),) = calls(log)
    assert (name, words[:2], words[-2:]) == ("uv", ["pip", "install"], ["-e", ".[dev]"])
    assert {"--compile-bytecode", "--python"} <= set(words)
    assert {
        ("-c", str(ROOT / "constraints.txt")),
        ("--find-links", "/wheels"),
        ("--extra-index-url", "https://a.example/simple"),
        ("--extra-index-url", "https://b.example/simple"),
    } <= set(pairs(words))
    assert "/global" not in words
    assert certificates == "/certificates.pem"


def test_pip_installs_where_uv_fails_or_is_missing(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = fake(tmp_path, "python", log)
    fake(tmp_path, "uv", log, code=1)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.install(python, "package") == 0
    monkeypatch.setattr(bootstrap, "uv_command", lambda python: [])
    assert bootstrap.install(python, "package") == 0
    assert [name for name, _, _ in calls(log)] == ["uv", "python", "python"]
    for _, words, _ in calls(log)[1:]:
        assert words[:3] == ["-m", "pip", "install"]
        assert ("-c", str(ROOT / "constraints.txt")) in pairs(words)
        assert "--compile" in words


def test_an_index_that_is_asked_for_replaces_that_of_pip() -> None:
    config = {"index-url": "https://mirror.example/simple", "find-links": "/wheels", "no-index": "true"}
    assert bootstrap.uv_sources(config, []) == [
        "--index-url", "https://mirror.example/simple", "--find-links", "/wheels", "--no-index",
    ]  # fmt: skip
    asked = bootstrap.uv_sources(config, ["--index-url", "https://other.example/simple"])
    assert "https://mirror.example/simple" not in asked


def test_uv_may_be_a_module_and_else_pip_gets_it(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    python = fake(tmp_path, "python", log, code=1)
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: object())
    assert bootstrap.uv_command(python) == [sys.executable, "-m", "uv"]
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    assert bootstrap.uv_command(python) == [str(python), "-m", "uv"]
    assert [words[:3] for _, words, _ in calls(log)] == [["-m", "uv", "--version"], ["-m", "pip", "install"]]
    monkeypatch.setattr(bootstrap, "pip", lambda *given: 1)
    assert bootstrap.uv_command(python) == []
