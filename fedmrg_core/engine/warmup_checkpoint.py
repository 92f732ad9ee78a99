"""Weights at the end of each phase of a warm-up, so that one that is killed loses at most the phase it was in.

They are stored in the folder of the base that is being built, and removed when it is complete.
"""

from __future__ import annotations

import logging
import platform
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from fedmrg_core.files import replacing
from fedmrg_core.types import State

PATTERN = "phase-*.safetensors"

_log = logging.getLogger(__name__)


def save(folder: Path, phase: int, weights: State) -> None:
    """Store the weights after a phase (1-based), each tensor under one name; the earlier phase's are removed."""
    earlier = list(folder.glob(PATTERN))
    with replacing(_path(folder, phase)) as temporary:
        save_file(weights, temporary, _environment())
    for path in earlier:
        path.unlink()


def restore(folder: Path, model: nn.Module, phases: int) -> int:
    """Load the newest weights that this machine and these versions stored; returns how many phases they have behind
    them, 0 = none."""
    for phase in range(phases, 0, -1):
        weights = _read(_path(folder, phase))
        if weights is not None:
            model.load_state_dict(weights, strict=False)
            _log.info("an interrupted warm-up goes on after phase %d of %d", phase, phases)
            return phase
    return 0


def remove(folder: Path) -> None:
    """Remove what `save` stored."""
    for path in folder.glob(PATTERN):
        path.unlink()


def _path(folder: Path, phase: int) -> Path:
    return folder / PATTERN.replace("*", str(phase))


def _read(path: Path) -> State | None:
    """The weights in a file; None if there is none, it is damaged, or other machines or versions made it."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            names = file.keys() if file.metadata() == _environment() else ()
            return {name: file.get_tensor(name) for name in names} or None
    except (OSError, SafetensorError):
        return None


def _environment() -> dict[str, str]:
    """What decides the bits of a phase, besides the key of the base."""
    return {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability(), "host": platform.node()}
