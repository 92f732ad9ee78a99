"""What a reply must be before anything of it is used: a client's upload is checked against what the server asked for.

A breach is a ClientError that names the client, so that it falls under the run's policy. Its kind, in `failures`:
`wrong_client` (a reply under another client's name), `wrong_weight`, `wrong_payload` (groups, names, shapes, dtypes,
figures), `truncated_payload`, `nonfinite_update`. Values that are finite and have the right shape are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.engine.memory.wire import EMPTY, Header, Packed, unpack
from fedmrg_core.engine.messages import PERSONAL, TrainReply
from fedmrg_core.engine.pool import ClientError
from fedmrg_core.errors import FedMRGError, first_line, one_line
from fedmrg_core.models.lora_ranks import pad_ranks, slice_ranks
from fedmrg_core.types import CONDITIONS, LabelState, Payload

ROW = ("round", "clients", "accepted", "steps", "studies", "upload_bytes", "download_bytes", "diagnostics", "updates",
       "failures", "seconds")  # fmt: skip
"""Keys of a round's row that no part of a loss may be named."""
Layout = dict[tuple[str, str], tuple[str, tuple[int, ...]]]
"""(group, name) -> (dtype, shape)."""
DTYPES = {"float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"}
"""dtypes that a client's private state may have."""


class ReplyCheck:
    """The replies that one round of one algorithm may get. finishing: nothing is to be sent any more."""

    def __init__(self, algorithm: Algorithm, server: ServerState, finishing: bool = False) -> None:
        self._algorithm, self._server, self._finishing = algorithm, server, finishing
        self._headers: dict[int | None, Any] = {}  # of an upload that passed, by rank: most others have the same

    def identity(self, reply: Any, client: str, studies: float) -> TrainReply:
        """The reply, if it is the one that this client owes: name, weight and figures. Raises ClientError."""
        who = self._who(client)
        if not isinstance(reply, TrainReply):
            raise ClientError(f"{who}: replied with {type(reply).__name__}, not with an update", "wrong_payload")
        if not isinstance(reply.upload, Packed) or not isinstance(reply.private, Packed):
            raise ClientError(f"{who}: its upload or its private state is no payload", "wrong_payload")
        if reply.client_id != client:
            said = one_line(str(reply.client_id), 60)
            raise ClientError(f"{who}: its reply names the client '{said}'", "wrong_client")
        if not _is_number(reply.weight) or reply.weight != studies:
            said = one_line(str(reply.weight), 60)
            raise ClientError(f"{who}: claims a weight of {said}, but has {studies:g} studies", "wrong_weight")
        counts = all(isinstance(count, int) and count >= 0 for count in (reply.steps, reply.studies))
        if not counts or not _is_number(reply.seconds) or not _is_number(reply.cpu_seconds):
            raise ClientError(f"{who}: its steps, studies or seconds are not finite numbers", "wrong_payload")
        _check_losses(reply.losses, who)
        if not isinstance(reply.events, tuple) or not all(_is_event(event, client) for event in reply.events):
            raise ClientError(f"{who}: its events are not plain facts about itself", "wrong_payload")
        return reply

    def payload(self, upload: Packed, client: str) -> Payload:
        """The groups of an upload, still encoded. Raises ClientError if they differ from `upload_layout`."""
        who, rank = self._who(client), self._algorithm.rank_of(client)
        if rank not in self._headers or upload.header != self._headers[rank]:
            _same_layout(_layout_of(upload, who), self._layout(rank), who)
            self._headers[rank] = upload.header
        return _unpacked(upload, who) if self._finishing else {"delta": {}, **_unpacked(upload, who)}

    def decoded(self, payload: Payload, client: str) -> Payload:
        """The payload with its delta decoded, at the server's shapes, every tensor finite. Raises ClientError."""
        who, params = self._who(client), self._server.params
        if self._finishing:
            return payload
        try:
            delta = self._algorithm.codec.decode(payload["delta"])
            delta = pad_ranks(delta, {n: t.shape for n, t in params.items()}, self._algorithm.rank_of(client))
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ClientError(f"{who}: its delta cannot be decoded: {first_line(error)}", "wrong_payload") from None
        if delta is not payload["delta"]:
            asked = {n: params[n] for n in self._algorithm.upload_layout(self._server)["delta"]}
            _same_layout(_layout({"delta": delta}), _layout({"delta": asked}), who)
        whole = {**payload, "delta": delta}
        for group, state in whole.items():
            name = tree.nonfinite(state)
            if name is not None:
                raise ClientError(f"{who}: {group} '{name}' is not finite", "nonfinite_update")
        return whole

    def private(self, private: Packed, client: str, before: Header) -> Packed:
        """The new private state, if it can be read and has the personal parameters of the state before.

        before: that state's header, empty before the client's first round.
        """
        who = self._who(client)
        if not before or private.header != before:
            new, old = _layout_of(private, who), _layout_of(Packed(before, EMPTY.buffer), who)
            own, former = ({k: v for k, v in layout.items() if k[0] == PERSONAL} for layout in (new, old))
            if former:
                _same_layout(own, former, who)
        name = tree.nonfinite(_unpacked(private, who).get(PERSONAL, {}))
        if name is not None:
            raise ClientError(f"{who}: {PERSONAL} '{name}' is not finite", "nonfinite_update")
        return private

    def _layout(self, rank: int | None) -> Layout:
        if self._finishing:
            return {}
        expected = self._algorithm.upload_layout(self._server)
        return _layout({**expected, "delta": self._algorithm.codec.layout(slice_ranks(expected["delta"], rank))})

    def _who(self, client: str) -> str:
        return f"client {client}, round {self._server.round}"


def check_generation(reply: Any, films: int, who: str) -> None:
    """Raise ClientError unless a reply has one report per film, its reference's likelihood and, with a diagnosis head,
    its probabilities."""
    reports = getattr(reply, "reports", None)
    if not isinstance(reports, list) or len(reports) != films or not all(isinstance(text, str) for text in reports):
        raise ClientError(f"{who}: {films} films were sent, and no {films} reports came back", "wrong_payload")
    if not isinstance(reply.cut, list) or len(reply.cut) != films:
        raise ClientError(f"{who}: it is not said of {films} reports whether they were cut off", "wrong_payload")
    if np.shape(reply.nll) != (films, 2) or not np.isfinite(reply.nll).all():
        raise ClientError(f"{who}: the likelihoods of references are not {[films, 2]} finite numbers", "wrong_payload")
    shape = (films, len(CONDITIONS), len(LabelState))
    if reply.head is not None and (np.shape(reply.head) != shape or not np.isfinite(reply.head).all()):
        raise ClientError(f"{who}: the head's probabilities are not {list(shape)} finite numbers", "wrong_payload")


def _layout(payload: Payload) -> Layout:
    return {
        (group, name): (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for group, state in payload.items()
        for name, tensor in state.items()
    }


def _layout_of(packed: Any, who: str) -> Layout:
    """The layout that a header states, if every entry is one that `unpack` can read."""
    layout: Layout = {}
    try:
        if packed.buffer.dtype != np.uint8 or packed.buffer.ndim != 1:
            raise TypeError
        for group, name, dtype, shape, offset in packed.header:
            sizes = all(isinstance(size, int) and size >= 0 for size in (*shape, offset))
            if dtype not in DTYPES or not sizes or offset % tree.ALIGN or (group, name) in layout:
                raise ValueError
            layout[group, name] = (dtype, tuple(shape))
    except (AttributeError, TypeError, ValueError):
        raise ClientError(f"{who}: its payload has no readable header", "wrong_payload") from None
    return layout


def _same_layout(given: Layout, expected: Layout, who: str) -> None:
    """Raise ClientError at the first difference, by name."""
    for group in sorted({g for g, _ in expected} - {g for g, _ in given}):
        raise ClientError(f"{who}: group '{group}' is missing", "wrong_payload")
    for group, name in sorted(expected.keys() - given.keys()):
        raise ClientError(f"{who}: {group} lacks '{name}'", "wrong_payload")
    for group, name in sorted(given.keys() - expected.keys()):
        said = one_line(f"{group} '{name}'", 120)
        raise ClientError(f"{who}: {said} was not asked for (see `upload_layout`)", "wrong_payload")
    for key, (dtype, shape) in expected.items():
        if given[key] != (dtype, shape):
            found = f"{given[key][0]} {list(given[key][1])}"
            raise ClientError(f"{who}: {key[0]} '{key[1]}' is {found}, not {dtype} {list(shape)}", "wrong_payload")


def _unpacked(packed: Packed, who: str) -> Payload:
    try:
        return unpack(packed)
    except FedMRGError as error:
        raise ClientError(f"{who}: {error}", "truncated_payload") from None
    except (AttributeError, TypeError, ValueError, RuntimeError):
        raise ClientError(f"{who}: its payload cannot be read", "wrong_payload") from None


def _check_losses(losses: Any, who: str) -> None:
    """Names become keys of the round's row, next to those of `ROW`."""
    for name, value in losses.items() if isinstance(losses, Mapping) else ((None, None),):
        if not isinstance(name, str) or not re.fullmatch(r"[\w./-]{1,80}", name) or name in ROW:
            said = one_line(str(name), 60)
            raise ClientError(f"{who}: '{said}' cannot be the name of a part of the loss", "wrong_payload")
        if not _is_number(value):
            raise ClientError(f"{who}: its '{name}' is not a finite number", "wrong_payload")


def _is_event(event: Any, client: str) -> bool:
    if not isinstance(event, dict) or event.get("client") != client or not isinstance(event.get("kind"), str):
        return False
    return all(isinstance(name, str) and isinstance(value, (str, int, float)) for name, value in event.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and isfinite(value)
