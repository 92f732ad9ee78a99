"""A wrong fault file is refused before the run starts, in one line."""

from __future__ import annotations

import pytest

from fedmrg_core.engine.failures import Fault, Faults, Policy
from fedmrg_core.errors import ConfigError


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"policy": {"on_failure": "dropp"}}, "Did you mean 'drop'"),
        ({"policy": {"deadline_s": -1}}, "0 or more"),
        ({"fault": [{"kind": "client_error"}]}, r"\[\[fault\]\] 1 lacks 'rounds'"),
        ({"fault": [{"kind": "kil_actor", "rounds": [0]}]}, "Did you mean 'kill_actor'"),
        ({"fault": [{"kind": "client_error", "rounds": ["a"]}]}, "whole numbers"),
        ({"fault": [{"kind": "client_error", "rounds": 1}]}, "takes tuple"),
        ({"faults": []}, "Did you mean 'fault'"),
    ],
)
def test_a_wrong_fault_file_is_refused_in_one_line(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Faults.from_table(table)
    assert "\n" not in str(caught.value)


def test_what_a_run_cannot_do_is_refused_before_it_starts() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'h01'"):
        Faults(faults=(Fault("client_error", (0,), "h1"),)).check(["h01", "h02"], 0, False)
    with pytest.raises(ConfigError, match="set --actors to 1 or more"):
        Faults(faults=(Fault("kill_actor", (0,), "h01"),)).check(["h01"], 0, False)
    with pytest.raises(ConfigError, match="residue twice"):
        Faults(Policy(on_failure="reuse_last")).check(["h01"], 0, True)
