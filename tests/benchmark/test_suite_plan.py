"""Suite files: which experiments they name."""

from __future__ import annotations

import pytest

from benchmark.suites import plan
from fedmrg_core.errors import ConfigError


@pytest.fixture
def suites(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "SUITES", tmp_path)
    return tmp_path


def test_a_suite_is_the_product_of_its_lists_and_of_its_further_parts(suites):
    (suites / "mine.toml").write_text(
        'algorithms = ["fedavg", "fedprox"]\nsplits = ["phantom/ci"]\nseeds = [0, 1]\npreset = "tiny"\n'
        '[[also]]\nalgorithms = ["fedmrg"]\nseeds = [0]\n'
    )
    names = [task.name for task in plan.read("mine")]
    assert names == [f"{a} phantom/ci s{s}" for a in ("fedavg", "fedprox") for s in (0, 1)] + ["fedmrg phantom/ci s0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('algorithms = ["fedavgg"]', "unknown algorithm 'fedavgg'. Did you mean 'fedavg'"),
        ('algorithm = ["fedavg"]', "unknown key of suite mine 'algorithm'. Did you mean 'algorithms'"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_runs(suites, content, message):
    (suites / "mine.toml").write_text(content + '\nsplits = ["phantom/ci"]\nseeds = [0]\npreset = "tiny"\n')
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        plan.read("mine")


def test_an_unknown_suite_is_refused(suites):
    with pytest.raises(ConfigError, match="unknown suite 'fantom'"):
        plan.read("fantom")


def test_every_shipped_suite_resolves():
    for name in plan.suite_names():
        assert plan.read(name)
    assert {"phantom", "ci"} <= set(plan.suite_names())
