"""Settings of the device that a process computes on: precision, pinned copies, and how far its bits repeat."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fedmrg_core.errors import choose

WORKSPACE = ":4096:8"
"""Value of CUBLAS_WORKSPACE_CONFIG with which cuBLAS is deterministic."""


@dataclass(frozen=True)
class DeviceConfig:
    """What a worker computes on.

    device: "cpu" or "cuda" ("auto" is resolved earlier). precision: "float32", or "bf16", which runs the loss and the
    generation under autocast; parameters, optimiser and updates stay float32. gradient_checkpointing: recompute the
    activations of transformer layers in the backward pass, which needs less memory and more time. tf32: on "cuda",
    float32 products round their factors to TensorFloat-32, which is faster and as exact as training needs.
    """

    device: str = "cpu"
    precision: str = "float32"
    gradient_checkpointing: bool = False
    tf32: bool = True

    def __post_init__(self) -> None:
        choose("engine.device", self.device, ("auto", "cpu", "cuda"))
        choose("engine.precision", self.precision, ("float32", "bf16"))


def configure_device(config: DeviceConfig) -> None:
    """Called once per worker, before its model is built: deterministic kernels on a GPU."""
    if not config.device.startswith("cuda"):
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = config.tf32
    torch.backends.cuda.matmul.allow_tf32 = config.tf32


def autocast(config: DeviceConfig) -> AbstractContextManager[Any]:
    """The context in which a loss is computed or a report generated."""
    if config.precision == "float32":
        return nullcontext()
    return torch.autocast(config.device.partition(":")[0], dtype=torch.bfloat16)


def to_device(tensor: Tensor, device: str) -> Tensor:
    """The tensor on the device. A copy to a GPU uses pinned memory, so that it overlaps with the work there."""
    if not device.startswith("cuda"):
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def release_memory() -> None:
    """Free the memory that the GPU's allocator caches."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def determinism(config: DeviceConfig) -> dict[str, Any]:
    """How far a run's bits repeat, for result.json: `bits` is "exact" or "not promised"."""
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
            f"{config.precision}, TF32 {'on' if config.tf32 else 'off'}; "
            "torch.use_deterministic_algorithms(warn_only), cudnn.deterministic, "
            f"CUBLAS_WORKSPACE_CONFIG={WORKSPACE}; an operation that has no deterministic kernel warns and runs"
        ),
    }
