"""A made-up result with the schema of result.json, to be varied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedmrg_core.metrics import clinical, java, nlg, per_study
from fedmrg_core.metrics.catalogue import shown


@pytest.fixture(scope="module", autouse=True)
def _without_java() -> Iterator[None]:
    """METEOR takes longer than the rest of a small run; tests/metrics has its tests."""

    def absent() -> str:
        raise java.JavaError(java.INSTALL_JAVA)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(java, "_java", absent)
        yield


METRICS = tuple(metric.key for metric in shown("board"))
VIEWS = ("test/personal", "test/global", "unseen/global")


def score(value: float) -> dict[str, Any]:
    return {
        "value": value,
        "low": value - 0.05,
        "high": value + 0.05,
        "n": 60,
        "version": "1",
        "higher_is_better": True,
    }


def a_result(algorithm: str = "fedmrg", seed: int = 0, value: float = 0.5, **changes: Any) -> dict[str, Any]:
    scores = {f"{view}/{metric}": score(value) for view in VIEWS for metric in METRICS}
    result = {
        "schema_version": 1,
        "bench_version": "1",
        "run_id": f"20260101-{algorithm}-s{seed}",
        "status": "finished",
        "algorithm": algorithm,
        "split": "phantom/ci",
        "preset": "tiny",
        "seed": seed,
        "config": {
            "algorithm": algorithm,
            "run": {"split": "phantom/ci", "preset": "tiny", "seed": seed},
            "train": {"rounds": 2, "batch_size": 16, "lr": 0.001},
            "model": {"lm_hidden": 128},
            "evaluate": {"labeler": "rules"},
        },
        "config_hash": f"hash-{algorithm}",
        "provenance": {
            "git_sha": "0123456789abcdef",
            "dirty": False,
            "device": "cpu x",
            "machine": "Linux x",
            "versions": {"python": "3.11.7", "torch": "2.13.0", "transformers": "5", "peft": "0.2", "numpy": "2"},
            "seconds": {"train": 12.5},
            "split_sha256": "s",
            "data_sha256": f"d{seed}",
        },
        "communication": {
            "upload_bytes": 4_000_000,
            "download_bytes": 5_000_000,
            "per_round": [{"round": 0, "upload_bytes": 2_000_000}, {"round": 1, "upload_bytes": 2_000_000}],
        },
        "failures": [],
        "scores": scores,
        "params_sha256": "a" * 64,
    }
    return {**result, **changes}


@pytest.fixture
def make_result() -> Callable[..., dict[str, Any]]:
    return a_result


TEXTS = ["heart size is normal .", "small left effusion is seen .", "no effusion is seen today ."]


@pytest.fixture
def table() -> pd.DataFrame:
    """Six studies of three patients in two hospitals, one part and view."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"study_id": [f"study-{i}" for i in range(6)], "hospital": ["h02", "h01"] * 3})
    frame = frame.assign(patient_id=["ann", "bob", "cyd"] * 2, part="test", view="global", hypothesis=TEXTS * 2)
    pairs = list(zip(TEXTS * 2, frame["hypothesis"].iloc[::-1], strict=True))
    states = rng.integers(0, 4, size=(12, 14)).astype(np.int8)
    found = [*nlg.overlap_measures(pairs, [0] * 6), *clinical.measures(states[:6], states[6:], "rules 3")]
    return per_study.build(frame, [(measure, np.arange(6)) for measure in found], states)


@pytest.fixture
def result(make_result, table) -> dict:
    """A result with the scores of the table."""
    made = make_result()
    for measure in per_study.measures(table):
        key = f"test/global/{measure.name}"
        if key in made["scores"]:
            value = float(measure.score(np.ones((1, 6)), np.arange(6))[0])
            made["scores"][key] = {**made["scores"][key], "value": round(value, 6), "low": 0.0, "high": 1.0}
    return {**made, "provenance": {**made["provenance"], "private": False}}
