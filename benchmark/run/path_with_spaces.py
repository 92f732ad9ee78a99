"""Ray cannot start workers from a path with blanks: such an environment is entered again through a link."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

LINK = "FEDMRG_LINK"
"""Environment variable: the folder of the link through which this process was started."""


def avoid_blanks() -> None:
    """Start this command again through a link, if the environment's path has blanks and a link can have none."""
    came_through = os.environ.pop(LINK, "")
    if came_through and sys.prefix.startswith(came_through):
        atexit.register(shutil.rmtree, came_through, ignore_errors=True)
        return
    if " " not in sys.prefix or " " in tempfile.gettempdir():
        return
    folder = Path(tempfile.mkdtemp(prefix="fedmrg-"))
    link = folder / "env"
    link.symlink_to(sys.prefix, target_is_directory=True)
    python = link / Path(sys.executable).relative_to(sys.prefix)
    os.execve(python, [str(python), "-m", "benchmark.cli", *sys.argv[1:]], {**os.environ, LINK: str(folder)})
