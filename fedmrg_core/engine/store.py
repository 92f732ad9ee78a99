"""The clients' private states, kept by the driver: what a client will find again in its next round."""

from __future__ import annotations

from fedmrg_core.engine.wire import EMPTY, Packed, unpack
from fedmrg_core.types import State


class ClientStore:
    """Private states by client. A round's new states are staged and commit together, once its updates are accepted."""

    def __init__(self) -> None:
        self._states: dict[str, Packed] = {}
        self._staged: dict[str, Packed] = {}

    def clients(self) -> list[str]:
        """Clients that have a private state, sorted."""
        return sorted(self._states)

    def get(self, client_id: str) -> Packed:
        """A client's private state; empty before its first round."""
        return self._states.get(client_id, EMPTY)

    def put(self, client_id: str, private: Packed) -> None:
        """Set a state at once (loading a checkpoint)."""
        self._states[client_id] = private

    def stage(self, client_id: str, private: Packed) -> None:
        """Hold a new state until `commit`: a copy, for a view of the object store would pin the whole reply there."""
        self._staged[client_id] = Packed(private.header, private.buffer.copy())

    def commit(self) -> None:
        """Accept all staged states."""
        self._states.update({name: packed for name, packed in self._staged.items() if packed.header})
        self._staged.clear()

    def rollback(self) -> None:
        """Forget all staged states."""
        self._staged.clear()

    def state_for_hash(self) -> State:
        """Every private tensor under `client/group/name`."""
        return {
            f"{client}/{group}/{name}": tensor
            for client in self.clients()
            for group, state in unpack(self._states[client]).items()
            for name, tensor in state.items()
        }
