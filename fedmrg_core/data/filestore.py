"""Films in files below a data root: checked paths, decoded pixels, and the content hash of each file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.images import file_sha256, read_film, safe_path


class FileStore:
    """The files below one data root. Every method raises DataError (no row) where a path or a film is refused."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._keys: dict[str, str] = {}

    def check(self, relative: str) -> Path:
        """The file's path, if it exists inside the root and not through a link."""
        return safe_path(self.root, relative)

    def read(self, relative: str, size: int) -> NDArray[np.uint8]:
        """The film, uint8 grey [size, size]."""
        return read_film(self.check(relative), size)

    def key(self, relative: str) -> str:
        """SHA-256 of the file's bytes."""
        if relative not in self._keys:
            self._keys[relative] = file_sha256(self.check(relative))
        return self._keys[relative]
