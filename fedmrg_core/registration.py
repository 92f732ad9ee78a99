"""Folders whose files register what they define: a new file is found by being there."""

from __future__ import annotations

import importlib
import pkgutil


def import_files(package: str) -> None:
    """Import every module of a package by its dotted name, so that its decorators have run."""
    folder = importlib.import_module(package)
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{package}.{module.name}")
