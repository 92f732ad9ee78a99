"""The stream of batches and the schedule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedmrg_core.engine.trainer import TrainConfig, batch_rows, batches_of
from fedmrg_core.seeding import generator
from tests.toy import toy_config

ROWS, LENGTHS = np.arange(100, 300), generator("lengths").integers(10, 400, 200)


def train(**changes: object) -> TrainConfig:
    config: TrainConfig = toy_config("fedavg").train
    return replace(config, **{"local_steps": 0, "local_epochs": 2, "batch_size": 16, **changes})


def test_an_epoch_holds_every_study_once_and_little_padding() -> None:
    batches = batches_of(ROWS, LENGTHS, 16, generator("draw"))
    assert sorted(np.concatenate(batches)) == list(ROWS)
    assert {len(batch) for batch in batches} <= {16, 200 % 16}
    spread = np.mean([np.ptp(LENGTHS[batch - 100]) for batch in batches])
    assert spread < np.ptp(LENGTHS) / 4


def test_epochs_differ_and_the_last_one_is_told() -> None:
    stream = list(batch_rows(ROWS, LENGTHS, 16, train().steps_of(200), lambda epoch: generator("draw", epoch)))
    assert [last for _, last in stream] == [False] * 13 + [True] * 13
    first, second = (np.concatenate([rows for rows, last in stream if last is which]) for which in (False, True))
    assert sorted(first) == sorted(second) == list(ROWS)
    assert list(first) != list(second)


def test_steps_of_a_fit() -> None:
    assert train().steps_of(200) == 2 * 13
    assert train(local_steps=15).steps_of(200) == 15
    assert train(local_steps=15).steps_of(200, epochs=3) == 3 * 13
    assert train().steps_of(200, steps=0) == 0
    assert train(local_steps=15).steps_of(0) == 0
    with pytest.raises(ValueError, match="not both"):
        train().steps_of(200, epochs=1, steps=1)


def test_the_cosine_goes_from_1_to_a_tenth() -> None:
    config = train(rounds=11, schedule="cosine")
    assert [config.scale(r) for r in (0, 5, 10)] == pytest.approx([1.0, 0.55, 0.1])
    assert train(rounds=11, schedule="constant").scale(5) == 1.0
