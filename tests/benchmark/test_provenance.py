"""A result is clean only if git says so for this very checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmark.run import provenance


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "fedmrg_core").mkdir(parents=True)
    (root / "docs").mkdir()
    (root / "fedmrg_core" / "code.py").write_text("1\n")
    author = ("-c", "user.name=n", "-c", "user.email=n@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*author, "commit", "-qm", "first")):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def facts(root: Path) -> tuple[bool, bool]:
    """(whether the commit is known, whether the tree counts as dirty)."""
    found = provenance.collect(root, "cpu")
    return len(found["git_sha"]) == 40, found["dirty"]


def test_only_what_decides_numbers_makes_a_tree_dirty(checkout: Path) -> None:
    assert facts(checkout) == (True, False)
    (checkout / "docs" / "page.txt").write_text("new\n")
    assert facts(checkout) == (True, False)
    (checkout / "fedmrg_core" / "more.py").write_text("2\n")
    assert facts(checkout) == (True, True)


def test_a_link_to_a_checkout_is_that_checkout(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(checkout, target_is_directory=True)
    assert facts(tmp_path / "link") == (True, False)


def test_a_copy_inside_another_checkout_has_no_commit(checkout: Path) -> None:
    installed = checkout / ".venv" / "site-packages"
    installed.mkdir(parents=True)
    assert facts(installed) == (False, True)


def test_outside_a_checkout_and_without_git_a_result_counts_as_dirty(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert facts(tmp_path / "elsewhere") == (False, True)
    monkeypatch.setenv("PATH", "")
    assert facts(checkout) == (False, True)


def test_a_status_that_fails_is_not_taken_for_clean(checkout: Path) -> None:
    (checkout / ".git" / "index").write_bytes(b"damaged")
    assert facts(checkout) == (True, True)
