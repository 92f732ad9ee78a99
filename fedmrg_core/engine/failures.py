"""What a run does when clients fail, and faults to inject on purpose: the content of `fedmrg bench --faults FILE`.

[policy]
on_failure = "drop"
deadline_s = 60

[[fault]]
kind = "kill_actor"
client = "h03"
rounds = [1]
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fedmrg_core.errors import ConfigError, choose, first_line, in_range, not_empty

POLICIES = ("fail", "drop", "reuse_last")
KINDS = (
    "kill_actor", "client_error", "slow_client", "nonfinite_update", "truncated_payload", "out_of_memory", "disk_full",
)  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """What happens when a client fails.

    on_failure: "fail" stops the run; "drop" leaves the client out of this round; "reuse_last" uses its last accepted
    update again, or drops it if there is none. deadline_s: seconds of a round after which clients without a reply have
    failed; 0 = no deadline. over_selection: further clients as a share of the cohort, which take the place of clients
    that fail (Bonawitz et al., MLSys 2019); the first replies in dispatch order are used.
    """

    on_failure: str = "fail"
    deadline_s: float = 0.0
    over_selection: float = 0.0

    def __post_init__(self) -> None:
        choose("on_failure", self.on_failure, POLICIES)
        in_range("[policy] deadline_s", self.deadline_s, 0, unit="seconds")
        in_range("[policy] over_selection", self.over_selection, 0, unit="a share")


@dataclass(frozen=True)
class Fault:
    """One injected fault. rounds: 0-based. client: the client that fails ("" only for disk_full). times: attempts at a
    round that fail, 0 = all. seconds: delay of slow_client. value: "nan" or "inf", for nonfinite_update."""

    kind: str
    rounds: tuple[int, ...]
    client: str = ""
    times: int = 1
    seconds: float = 1.0
    value: str = "nan"

    def __post_init__(self) -> None:
        choose("kind of a fault", self.kind, KINDS)
        not_empty("rounds of a fault", self.rounds)
        for number in self.rounds:
            in_range("rounds of a fault", number, 0)
        in_range("times of a fault", self.times, 0, unit="0 = every attempt")
        in_range("seconds of a fault", self.seconds, 0)
        choose("value of a fault", self.value, ("nan", "inf"))

    def hits(self, client: str, round_number: int, attempt: int) -> bool:
        """Whether this attempt (1-based) at a client's round fails."""
        return self.client == client and round_number in self.rounds and (not self.times or attempt <= self.times)


@dataclass(frozen=True)
class Faults:
    """A checked fault file. The default injects nothing and stops the run at any failure."""

    policy: Policy = Policy()
    faults: tuple[Fault, ...] = ()

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Faults:
        """Raises ConfigError that names the entry and the allowed values."""
        for name in table:
            choose("section of the fault file", name, ("policy", "fault"))
        policy = Policy(**_checked(Policy, table.get("policy", {}), "[policy]"))
        entries = table.get("fault", [])
        if not isinstance(entries, list):
            raise ConfigError("the faults of a fault file are [[fault]] tables.")
        return cls(policy, tuple(_fault(entry, number) for number, entry in enumerate(entries, 1)))

    def check(self, clients: Collection[str], actors: int, error_feedback: bool) -> None:
        """Raises ConfigError for faults that this run cannot have."""
        for fault in self.faults:
            if fault.kind != "disk_full":
                choose("client of a fault", fault.client, clients)
            if fault.kind == "kill_actor" and not actors:
                raise ConfigError("a kill_actor fault needs actors: set --actors to 1 or more (0 starts no process).")
        if self.policy.on_failure == "reuse_last" and error_feedback:
            raise ConfigError(
                "on_failure = reuse_last would add the codec's residue twice: choose fail or drop,"
                " or --set codec.error_feedback=false."
            )

    def disk_full(self, round_number: int) -> bool:
        """Whether this round's checkpoint finds the disk full."""
        return any(f.kind == "disk_full" and round_number in f.rounds for f in self.faults)


def read_table(path: Path) -> dict[str, Any]:
    """Read and check a fault file; returns its plain values. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"--faults {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--faults {path}: not TOML: {first_line(error)}.") from None
    Faults.from_table(table)
    return table


def _fault(entry: Any, number: int) -> Fault:
    where = f"[[fault]] {number}"
    given = _checked(Fault, entry, where)
    for name in ("kind", "rounds"):
        if name not in given:
            raise ConfigError(f"{where} lacks '{name}'.")
    if any(type(number) is not int for number in given["rounds"]):
        raise ConfigError(f"{where} rounds takes whole numbers, not {given['rounds']}.")
    try:
        return Fault(**{**given, "rounds": tuple(given["rounds"])})
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _checked(cls: type, values: Any, where: str) -> dict[str, Any]:
    """A table's values, if names and types are those of the dataclass's fields."""
    kinds = {f.name: f.type for f in fields(cls)}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a table.")
    wanted: dict[str, Any] = {"str": str, "float": (int, float), "int": int, "tuple[int, ...]": list}
    for name, value in values.items():
        choose(f"setting of {where}", name, kinds)
        if isinstance(value, bool) or not isinstance(value, wanted[str(kinds[name])]):
            raise ConfigError(f"{where} {name} takes {kinds[name]}, not {value!r}.")
    return dict(values)
