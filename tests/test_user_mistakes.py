"""A user's mistake costs one line and exit code 2."""

from __future__ import annotations

import pytest

from benchmark import cli


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bensh"], "unknown command 'bensh'. Did you mean 'bench'?"),
        (["suite", "fantom"], "unknown suite 'fantom'. Did you mean 'phantom'?"),
        (["bench", "--algo", "fedmgr"], "unknown algorithm 'fedmgr'."),
        (["bench", "--set", "rouns=3"], "unknown setting 'rouns'. Did you mean 'rounds'?"),
        (["bench", "--algo", "fedavg", "--set", "mu=2"], "'mu' is a setting of "),
        (["bench", "--set", "contrastive_decoding=-1"], "algorithm.contrastive_decoding = -1.0 is out of range"),
        (["score", "tests"], "tests: a folder: give a table of reports (for a run: fedmrg score --run RUN_ID)"),
        (["sync", "no-such-run"], "unknown run 'no-such-run'."),
        (["suite", "phantom", "--jobs", "0"], "--jobs = 0 is out of range"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fedmrg: {message}")
    assert error.count("\n") == 1
