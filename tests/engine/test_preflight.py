"""What a node lacks is said in one line that names it. No Ray: the nodes' answers are given."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedmrg_core.engine.ray import placement, preflight
from fedmrg_core.engine.ray.instance import start_ray
from fedmrg_core.engine.ray.preflight import check_nodes, inspect_node, unreadable
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.errors import FedMRGError
from tests.toy import TWO_ACTORS, toy_spec


@pytest.fixture(scope="module", name="spec")
def _spec(toy_cache: Path) -> WorkerSpec:
    return toy_spec(toy_cache, "fedmrg")


def answered(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
    there = [placement.Node(str(i), f"node{i} (10.0.0.{i})", 8.0, 0.0, ("", 0)) for i in range(len(answers))]
    monkeypatch.setattr(preflight, "ask_nodes", lambda *given: list(zip(there, answers, strict=True)))


def test_what_a_worker_opens_is_opened(spec: WorkerSpec, tmp_path: Path) -> None:
    assert unreadable(spec) == ""
    assert "not a prepared federation" in unreadable(replace(spec, federation=str(tmp_path)))
    assert unreadable(replace(spec, base=str(tmp_path / "none"))) != ""
    copy = tmp_path / "copy"
    shutil.copytree(spec.federation, copy)  # its films are told by relative path, which leads nowhere from here
    assert unreadable(replace(spec, federation=str(copy))) != ""


def test_equal_nodes_pass_and_another_processor_is_only_mentioned(
    spec: WorkerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = inspect_node(spec)
    answered(monkeypatch, here, here)
    assert check_nodes(spec, TWO_ACTORS) == ""
    answered(monkeypatch, here, replace(here, machine="another"))
    assert check_nodes(spec, TWO_ACTORS).startswith("node1 (10.0.0.1): another processor than here")


def test_other_software_data_or_no_answer_is_refused_by_the_nodes_name(
    spec: WorkerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = inspect_node(spec)
    older = replace(here, software={**here.software, "torch": "2.0.0", "peft": ""})
    cases = [
        (older, "torch 2.0.0, not .*, peft missing, not .* as here: install the same versions there"),
        (
            replace(here, software={**here.software, "code": "01234567"}),
            f"code 01234567, not {here.software['code']} as here",
        ),
        (replace(here, contents="else"), "copy them again"),
        (replace(here, unreadable="no such file"), "no such file: .* under the same path there"),
        (TimeoutError("no answer within 2 s"), "cannot run a worker \\(no answer within 2 s\\)"),
    ]
    for answer, words in cases:
        answered(monkeypatch, here, answer)
        with pytest.raises(FedMRGError, match=rf"^node node1 \(10.0.0.1\): .*{words}") as caught:
            check_nodes(spec, TWO_ACTORS)
        assert "\n" not in str(caught.value)
    answered(monkeypatch, older, older, older)
    with pytest.raises(FedMRGError, match=r"^node node0 .*\(2 more nodes are unfit\)$"):
        check_nodes(spec, TWO_ACTORS)


@pytest.mark.parametrize(("address", "words"), [("ray://head:10001", "HOST:PORT or auto"), ("head:1", "cannot join")])
def test_an_address_that_leads_nowhere_is_one_line(address: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(**given: Any) -> None:
        raise ConnectionError("nobody there\nat all")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(FedMRGError, match=rf"RAY_ADDRESS = {address}: .*{words}") as caught:
        start_ray(TWO_ACTORS)
    assert "\n" not in str(caught.value)
