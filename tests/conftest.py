"""Fixtures that several test folders share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the toy set-up of `tests/toy.py`, shared by the whole session."""
    return tmp_path_factory.mktemp("cache")
