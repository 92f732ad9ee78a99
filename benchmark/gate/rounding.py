"""Changes of nothing but rounding, whose effects show how far another machine's numbers may differ.

A variant runs on one machine: with the kernels of an older processor, or from a base whose weights each differ in their
last bit. What it leaves different from the plain run is the spread that tolerances are made from.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from fedmrg_core.engine.worker import Worker

KERNELS = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA")
"""Environment variables that choose the kernels of PyTorch, MKL and oneDNN. They work before torch is imported."""


@dataclass(frozen=True)
class Variant:
    """environment: of the process. last_bits: as in `move_last_bits`; 0 = the base as it is."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    last_bits: int = 0


def _kernels(*values: str) -> dict[str, str]:
    return dict(zip(KERNELS, values, strict=True))


VARIANTS = (
    Variant("kernels of AVX", _kernels("default", "AVX", "AVX")),
    Variant("kernels of SSE 4.1", _kernels("default", "COMPATIBLE", "SSE41")),
    *(Variant(f"last bits of the base, draw {seed}", last_bits=seed) for seed in (1, 2, 3, 4)),
)


def capability() -> str:
    """The vector instructions that PyTorch's own kernels use here, such as AVX2."""
    return str(torch.backends.cpu.get_cpu_capability())


def move_last_bits(worker: Worker, seed: int) -> None:
    """Move every weight of a worker's model to the next float32 above or below, drawn by `seed`. Zeros stay."""
    generator = torch.Generator().manual_seed(seed)
    infinite = torch.tensor(float("inf"))
    with torch.no_grad():
        for tensor in worker.model.state_dict().values():
            if tensor.is_floating_point():
                up = torch.rand(tensor.shape, generator=generator) < 0.5
                moved = torch.nextafter(tensor, torch.where(up, infinite, -infinite))
                tensor.copy_(torch.where(tensor == 0, tensor, moved))
        for name, tensor in worker.initial.items():
            tensor.copy_(worker.moving[name])
