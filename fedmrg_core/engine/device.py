"""What a process does for the device it runs on: precision, pinned copies, and what it can promise of its bits."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fedmrg_core.errors import choose

WORKSPACE = ":4096:8"
"""CUBLAS_WORKSPACE_CONFIG under which cuBLAS promises to repeat itself."""


@dataclass(frozen=True)
class DeviceConfig:
    """device: "cpu" or "cuda" ("auto" is resolved before). precision: "float32", or "bf16": the loss and generation
    under autocast, parameters, optimiser and updates in float32 all the same. gradient_checkpointing: keep no
    activations within a transformer's layers and compute them again on the way back: less memory, more time.
    """

    device: str = "cpu"
    precision: str = "float32"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        choose("engine.device", self.device, ("auto", "cpu", "cuda"))
        choose("engine.precision", self.precision, ("float32", "bf16"))


def settle_device(config: DeviceConfig) -> None:
    """What a worker does once, before its model is built: ask a GPU for kernels that repeat themselves, and for
    float32 that is float32 (no TF32)."""
    if not config.device.startswith("cuda"):
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def autocast(config: DeviceConfig) -> AbstractContextManager[Any]:
    """The block in which a loss is computed or a report is written."""
    if config.precision == "float32":
        return nullcontext()
    return torch.autocast(config.device.partition(":")[0], dtype=torch.bfloat16)


def to_device(tensor: Tensor, device: str) -> Tensor:
    """The tensor on the device; to a GPU through pinned memory, so that the copy runs beside the work there."""
    if not device.startswith("cuda"):
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def release_memory() -> None:
    """Give back what the allocator of a GPU holds for later."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def determinism(config: DeviceConfig) -> dict[str, Any]:
    """What can be promised of a run's bits, for result.json: `bits` is "exact" or "not promised"."""
    if not config.device.startswith("cuda"):
        return {
            "bits": "exact",
            "where": "this machine type with these library versions, for any number of actors",
            "by": f"{config.precision} on the CPU, one torch thread per process, fixed order of sums",
        }
    return {
        "bits": "not promised",
        "where": "scores repeat within a tolerance on one GPU type with one set of library versions",
        "by": (
            f"{config.precision} without TF32; torch.use_deterministic_algorithms(warn_only), cudnn.deterministic, "
            f"CUBLAS_WORKSPACE_CONFIG={WORKSPACE}; an operation that has no deterministic kernel warns and runs"
        ),
    }
