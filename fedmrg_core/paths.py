"""Where this checkout is: the folder that holds `splits/`, `leaderboards/` and `runs/`."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
