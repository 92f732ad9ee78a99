"""Upload compression: encode a delta on the client, decode it on the server. The ledger counts the encoded bytes.

A lossy codec stores its error (the residue) on the client and adds it to that client's next delta: error feedback
(Karimireddy et al., ICML 2019). Over the rounds nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import prod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.adapter_names import is_adapter
from fedmrg_core.errors import choose, in_range
from fedmrg_core.types import State

MARK = "//"
"""Separates a parameter's name from its encoded part: `encoder.weight//U`."""
STATISTICS = ("running_mean", "running_var")
"""Ends of names that lossy codecs send whole, since an approximate variance may be negative."""


@dataclass(frozen=True)
class Codec:
    """The identity: the server gets the very tensors that the client sends."""

    error_feedback: bool = True

    @property
    def lossless(self) -> bool:
        return True

    def encode(self, delta: State, residue: State) -> tuple[State, State]:
        """(delta, this client's residue) -> (tensors to send, the new residue)."""
        if self.lossless:
            return delta, {}
        whole = {name: tensor for name, tensor in delta.items() if name.endswith(STATISTICS)}
        target = tree.add({name: tensor for name, tensor in delta.items() if name not in whole}, residue)
        sent = {k: v for name, tensor in target.items() for k, v in self.encode_tensor(name, tensor).items()}
        kept = {name: tensor for name, tensor in residue.items() if name not in target}  # not sent in this round
        error = {**kept, **tree.subtract(target, self.decode(sent))} if self.error_feedback else {}
        return {**sent, **whole}, error

    def layout(self, delta: State) -> State:
        """Names, shapes and dtypes of what `encode` sends for such a delta, as tensors without memory (on "meta")."""
        meta = {name: tensor.to("meta") for name, tensor in delta.items()}
        whole = {name for name in meta if self.lossless or name.endswith(STATISTICS)}
        encoded = [{n: t} if n in whole else self.encode_tensor(n, t) for n, t in meta.items()]
        return {name: tensor for state in encoded for name, tensor in state.items()}

    def decode(self, sent: State) -> State:
        """Sent tensors -> a delta with the parameters' names, shapes and dtypes."""
        if self.lossless:
            return sent
        parts: dict[str, dict[str, Tensor]] = {}
        for key, tensor in sent.items():
            name, _, part = key.partition(MARK)
            parts.setdefault(name, {})[part] = tensor
        return {name: group[""] if "" in group else self.decode_tensor(group) for name, group in parts.items()}

    def encode_tensor(self, name: str, tensor: Tensor) -> State:
        return {name: tensor}

    def decode_tensor(self, parts: dict[str, Tensor]) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class LowRank(Codec):
    """Cut each matrix (a convolution as out x rest) to its best rank-r part, U S V^T.

    rank: 1 or more; at full rank nothing is cut. A tensor whose factors would not be smaller is sent whole, and so are
    LoRA's factors, which are low-rank already.
    The signs of singular vectors are fixed (largest entry of each column of U positive), so that bits agree.
    """

    rank: int = 4

    def __post_init__(self) -> None:
        in_range("codec.rank", self.rank, 1)

    @property
    def lossless(self) -> bool:
        return False

    def encode_tensor(self, name: str, tensor: Tensor) -> State:
        matrix = tensor.reshape(tensor.shape[0], -1) if tensor.dim() >= 2 else tensor
        if tensor.dim() < 2 or is_adapter(name) or self.rank * sum(matrix.shape) >= matrix.numel():
            return {name: tensor}
        u, s, vt = torch.linalg.svd(matrix.double(), full_matrices=False)
        u, s, vt = u[:, : self.rank], s[: self.rank], vt[: self.rank]
        sign = torch.sign(u.gather(0, u.abs().argmax(dim=0, keepdim=True))).squeeze(0)
        sign[sign == 0] = 1
        shape = torch.tensor(tensor.shape, dtype=torch.int64)
        left, right = (u * (sign * s)).to(tensor.dtype), (vt * sign[:, None]).to(tensor.dtype)
        return {f"{name}{MARK}US": left, f"{name}{MARK}V": right, f"{name}{MARK}shape": shape}

    def decode_tensor(self, parts: dict[str, Tensor]) -> Tensor:
        return (parts["US"] @ parts["V"]).reshape(parts["shape"].tolist())


@dataclass(frozen=True)
class Int8(Codec):
    """8 bits per value: q = round(x / s) with one scale s = max|x| / 127 per tensor; the error is at most s / 2."""

    @property
    def lossless(self) -> bool:
        return False

    def encode_tensor(self, name: str, tensor: Tensor) -> State:
        if tensor.numel() <= 8:
            return {name: tensor}
        scale = tensor.abs().max().clamp_min(torch.finfo(torch.float32).tiny) / 127.0
        q = (tensor / scale).round().clamp(-127, 127).to(torch.int8)
        return {f"{name}{MARK}q": q, f"{name}{MARK}scale": scale.reshape(1)}

    def decode_tensor(self, parts: dict[str, Tensor]) -> Tensor:
        return parts["q"].to(parts["scale"].dtype) * parts["scale"]


@dataclass(frozen=True)
class Packed(Codec):
    """A few bits per value, several values per byte, and one scale per row. A row is along a matrix's longer side (a
    convolution is out x rest), so that scales are few. Coarse: use it with error feedback."""

    bits: ClassVar[int]

    @property
    def lossless(self) -> bool:
        return False

    def scales(self, rows: Tensor) -> Tensor:
        """The scale of each row [R, n] -> [R, 1], never 0."""
        raise NotImplementedError

    def codes(self, scaled: Tensor) -> Tensor:
        """Scaled values as codes from 0 to 2^bits - 1."""
        raise NotImplementedError

    def values(self, codes: Tensor) -> Tensor:
        """Codes as scaled values."""
        raise NotImplementedError

    def encode_tensor(self, name: str, tensor: Tensor) -> State:
        if tensor.numel() <= 8:
            return {name: tensor}  # with its scale it would be no smaller
        rows = _along_the_longer_side(tensor, list(tensor.shape))
        scale = self.scales(rows).clamp_min(torch.finfo(torch.float32).tiny)
        codes = self.codes(rows / scale).to(torch.uint8).reshape(-1)
        per_byte = 8 // self.bits
        codes = F.pad(codes, (0, -len(codes) % per_byte)).reshape(-1, per_byte)
        packed = codes[:, 0].clone()
        for at in range(1, per_byte):
            packed |= codes[:, at] << (self.bits * at)
        shape = torch.tensor(tensor.shape, dtype=torch.int32)
        return {f"{name}{MARK}q": packed, f"{name}{MARK}scale": scale.squeeze(1), f"{name}{MARK}shape": shape}

    def decode_tensor(self, parts: dict[str, Tensor]) -> Tensor:
        scale, shape = parts["scale"], parts["shape"].tolist()
        mask, per_byte = 2**self.bits - 1, 8 // self.bits
        codes = torch.stack([(parts["q"] >> (self.bits * at)) & mask for at in range(per_byte)], dim=1).reshape(-1)
        rows = self.values(codes[: prod(shape)].to(scale.dtype)).reshape(len(scale), -1) * scale[:, None]
        return (rows.T if _is_tall(shape) else rows).reshape(shape)


def _is_tall(shape: list[int]) -> bool:
    """Whether a tensor's first axis is longer than all others together."""
    return len(shape) > 1 and shape[0] ** 2 > prod(shape)


def _along_the_longer_side(tensor: Tensor, shape: list[int]) -> Tensor:
    matrix = tensor.reshape(shape[0] if len(shape) > 1 else 1, -1)
    return matrix.T if _is_tall(shape) else matrix


@dataclass(frozen=True)
class Int4(Packed):
    """-7 .. 7 times a row's scale, max|x| / 7."""

    bits = 4

    def scales(self, rows: Tensor) -> Tensor:
        return rows.abs().amax(dim=1, keepdim=True) / 7.0

    def codes(self, scaled: Tensor) -> Tensor:
        return scaled.round().clamp(-7, 7) + 8

    def values(self, codes: Tensor) -> Tensor:
        return codes - 8


@dataclass(frozen=True)
class Int2(Packed):
    """-1.5, -0.5, 0.5 or 1.5 times a row's scale, its root mean square (near the best uniform steps for normal values:
    Max, IRE Trans. Inf. Theory 1960)."""

    bits = 2

    def scales(self, rows: Tensor) -> Tensor:
        return rows.square().mean(dim=1, keepdim=True).sqrt()

    def codes(self, scaled: Tensor) -> Tensor:
        return scaled.floor().clamp(-2, 1) + 2

    def values(self, codes: Tensor) -> Tensor:
        return codes - 1.5


@dataclass(frozen=True)
class Sign(Packed):
    """The sign of each value times a row's scale, mean|x| (EF-SignSGD, Karimireddy et al., ICML 2019)."""

    bits = 1

    def scales(self, rows: Tensor) -> Tensor:
        return rows.abs().mean(dim=1, keepdim=True)

    def codes(self, scaled: Tensor) -> Tensor:
        return scaled >= 0

    def values(self, codes: Tensor) -> Tensor:
        return 2 * codes - 1


IDENTITY = Codec()
CODECS: dict[str, type[Codec]] = {
    "identity": Codec,
    "lowrank": LowRank,
    "int8": Int8,
    "int4": Int4,
    "int2": Int2,
    "sign": Sign,
}


@dataclass(frozen=True)
class CodecConfig:
    """The section [codec]. kind: a name in `CODECS`. rank: of lowrank. error_feedback: add what a lossy codec cut off
    to the client's next update."""

    kind: str
    rank: int
    error_feedback: bool

    def __post_init__(self) -> None:
        choose("codec.kind", self.kind, CODECS)
        in_range("codec.rank", self.rank, 1)

    def build(self) -> Codec:
        """The codec, with those of the settings that it has."""
        cls = CODECS[self.kind]
        return cls(**{one.name: getattr(self, one.name) for one in fields(cls)})
