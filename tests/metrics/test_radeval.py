"""The RadEval extra: how its absence and its failures read, and what is passed through when it is there."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from fedmrg_core.errors import FedMRGError
from fedmrg_core.metrics import radeval


class Evaluator:
    def __init__(self, **flags: bool) -> None:
        self.flags = flags

    def __call__(self, refs: list[str], hyps: list[str]) -> dict[str, object]:
        if "do_green" in self.flags:
            raise OSError("cannot reach the hub")
        return {"radgraph_simple": 0.5, "bertscore": {"f1": len(refs) / 10}, "note": "text"}


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("RadEval")
    module.RadEval = Evaluator  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "RadEval", module)


def test_numbers_come_through_flat(package: None) -> None:
    assert radeval.scores(["a", "b"], ["a", "c"], ["radgraph"]) == {"radgraph_simple": 0.5, "bertscore_f1": 0.2}


def test_missing_package_weights_and_names_are_explained(package: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FedMRGError, match=r"cannot reach the hub.*fetches model weights"):
        radeval.scores(["a"], ["a"], ["green"])
    with pytest.raises(FedMRGError, match=r"unknown RadEval metric 'radgraf'.*Did you mean 'radgraph'"):
        radeval.scores(["a"], ["a"], ["radgraf"])
    monkeypatch.setitem(sys.modules, "RadEval", None)
    with pytest.raises(FedMRGError, match=r"pip install 'fedmrg\[radeval\]'"):
        radeval.scores(["a"], ["a"], ["radgraph"])
