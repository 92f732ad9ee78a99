"""Configurations as results store them."""

from __future__ import annotations

import json

from benchmark.run import settings
from benchmark.suites.plan import Task

TASK = Task("fedavg", "phantom/ci", 0, "tiny", ("train.rounds=2",))


def test_a_stored_configuration_comes_back_whole():
    """`--resume` and `fedmrg sync` read it: the section [algorithm] must not hide the algorithm's name."""
    stored = json.loads(json.dumps(TASK.config().as_dict()))
    assert settings.from_dict(stored) == TASK.config()


def test_a_setting_that_is_newer_than_a_result_and_off_leaves_its_hash():
    stored = Task("fedmrg", "phantom/ci", 0, "tiny").config().as_dict()
    older = {**stored, "algorithm": {k: v for k, v in stored["algorithm"].items() if k != "contrastive_decoding"}}
    assert settings.from_dict(older).hash() == settings.from_dict(stored).hash()
    contrasting = Task("fedmrg-contrastive-decoding", "phantom/ci", 0, "tiny").config()
    assert contrasting.hash() != settings.from_dict(stored).hash()
