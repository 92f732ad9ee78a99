"""A stored batch of reports is used again only if everything that decides its text is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx
from fedmrg_core.engine import generation_cache
from fedmrg_core.engine.generation_cache import GenerationCache, GenerationJob
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.messages import GenerateReply, GenerateTask

SERVER = ServerState({"w": torch.ones(2)}, {"residual": {"w": torch.ones(2)}}, round=3)
PRIVATE = {"personal": {"s": torch.ones(1)}, "memory:own": {"w": torch.ones(2)}}
JOB = GenerationJob(0, 0, GenerateTask((1, 2), client_id="h01", round=3), "h01", 1, lambda: pack(PRIVATE))
REPLY = GenerateReply(["clear lungs", "effusion"], None, 0.0, [False, True], np.array([[3.5, 4.0], [0.1, 2.0]]))


def cache(
    file: Path, server: ServerState = SERVER, algorithm: Algorithm | None = None, **given: Any
) -> GenerationCache:
    made = GenerationCache(file, given.get("facts", {"max_tokens": 60}))
    made.begin(algorithm or FedLoRADx(), server, given.get("data", "films"))
    return made


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    cache(tmp_path / "reports.jsonl").add(JOB, REPLY)
    return tmp_path / "reports.jsonl"


def private(**groups: Any) -> GenerationJob:
    return replace(JOB, private=lambda: pack({**PRIVATE, **groups}))


def test_the_same_batch_is_found(file: Path) -> None:
    found = cache(file).find(JOB)
    assert found is not None
    assert (found.reports, found.cut, found.nll.tolist()) == (REPLY.reports, REPLY.cut, REPLY.nll.tolist())


@pytest.mark.parametrize(
    "other",
    [
        {"facts": {"max_tokens": 61}},
        {"data": "other films"},
        {"algorithm": FedLoRADx(contrastive_decoding=1.5)},
        {"algorithm": FedLoRADx(dx_weight=1.0)},
        {"server": replace(SERVER, params={"w": torch.zeros(2)})},
        {"server": replace(SERVER, memory={"residual": {"w": torch.zeros(2)}})},
    ],
)
def test_other_settings_data_or_state_of_the_server_find_nothing(file: Path, other: dict[str, Any]) -> None:
    assert cache(file, **other).find(JOB) is None


@pytest.mark.parametrize(
    "job",
    [
        replace(JOB, task=replace(JOB.task, rows=(1, 3))),
        replace(JOB, task=replace(JOB.task, oracle=True)),
        replace(JOB, private=None),
        private(personal={"s": torch.zeros(1)}),
        private(**{"memory:own": {"w": torch.zeros(2)}}),
    ],
)
def test_another_batch_or_private_state_is_not_found(file: Path, job: GenerationJob) -> None:
    assert cache(file).find(job) is None


def test_other_code_finds_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_cache, "core_sha256", lambda: "another")
    assert cache(file).find(JOB) is None


@pytest.mark.parametrize("line", ["[]", '{"key": 1}', '{"reports": []}', '{"key": "torn', "\x00", "null"])
def test_a_damaged_line_is_skipped(file: Path, line: str) -> None:
    file.write_text(f"{line}\n{file.read_text()}\n{line}")
    assert cache(file).find(JOB) is not None


def test_a_line_with_too_few_reports_is_not_used(file: Path) -> None:
    file.write_text(file.read_text().replace('["clear lungs", "effusion"]', '["clear lungs"]'))
    assert cache(file).find(JOB) is None


def test_without_a_file_nothing_is_stored() -> None:
    empty = GenerationCache()
    empty.begin(Algorithm(), SERVER, "films")
    empty.add(JOB, REPLY)
    assert empty.find(JOB) is None
