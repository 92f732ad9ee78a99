"""Suite files: which experiments they name."""

from __future__ import annotations

import pytest

from benchmark.suites import plan
from benchmark.suites.execute import committed_path
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
        ("", "suite mine lacks algorithms"),
        ("algorithms = []", "algorithms = .*; allowed: a list of one or more texts"),
        ('algorithms = "fedavg"', "algorithms = 'fedavg'; allowed: a list"),
        ('algorithms = ["fedavg"]\noverrides = [3]', "overrides = .*; allowed: a list"),
        ('algorithms = ["fedavg"]\n[[also]]\nseeds = [-1]', "seeds = .*-1.*; allowed: 0 or more"),
        ('algorithms = ["fedavg"]\n[[also]]\nseeds = [true]', "seeds = .*True.*; allowed: a list of one or more whole"),
        ('algorithms = ["fedavg"]\n[[also]]\nseed = [0]', "unknown key of suite mine 'seed'"),
        ('algorithms = ["fedavg"]\n[[also]]\npreset = 3', "preset = 3"),
        ('algorithms = ["fedavg"]\noverrides = ["run.seed=5"]', "keys of their own, not overrides"),
        ('algorithms = ["fedavg"]\noverrides = ["train.round=5"]', "unknown setting of .train. 'round'"),
        ("algorithms = [", "not a suite file"),
    ],
)
def test_a_wrong_name_or_value_is_refused_before_anything_runs(suites, content, message):
    (suites / "mine.toml").write_text('splits = ["phantom/ci"]\nseeds = [0]\npreset = "tiny"\n' + content)
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        plan.read("mine")


def test_an_unknown_suite_is_refused(suites):
    with pytest.raises(ConfigError, match="unknown suite 'fantom'"):
        plan.read("fantom")


def test_every_shipped_suite_resolves():
    for name in plan.suite_names():
        assert plan.read(name)
    assert {"phantom", "gate"} <= set(plan.suite_names())


def test_no_suite_overwrites_anothers_results():
    """Two suites that store a result at one path give it the same settings."""
    stored: dict = {}
    for name in plan.suite_names():
        for task in plan.read(name):
            stored.setdefault(committed_path(task), set()).add(task.config().hash())
    assert not {path: hashes for path, hashes in stored.items() if len(hashes) > 1}
