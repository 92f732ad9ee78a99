"""The stream of batches and the schedule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fedmrg_core.engine.trainer import TrainConfig, batch_rows, batches_of, build_optimizer, fit
from fedmrg_core.errors import FedMRGError
from fedmrg_core.models.report_model import Batch
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


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(3), nn.InstanceNorm2d(3), nn.GroupNorm(3, 3)])
def test_a_normalisation_with_one_value_per_channel_is_one_clear_line(layer: nn.Module) -> None:
    """An encoder whose last map is 1 x 1, and an epoch that leaves a batch of one study."""
    encoder = nn.Sequential(nn.Conv2d(1, 3, 4), layer)
    batch = Batch(torch.rand(1, 1, 4, 4), torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 14))
    optimizer = build_optimizer([{"params": list(encoder.parameters()), "lr": 0.1}], "sgd", 0.0)
    with pytest.raises(FedMRGError, match=r"^a batch of 1 on a feature map of 1 x 1 .* larger model\.image_size$"):
        fit([batch], lambda batch: encoder(batch.images).sum(), optimizer, [], 0.0)


def test_the_cosine_goes_from_1_to_a_tenth() -> None:
    config = train(rounds=11, schedule="cosine")
    assert [config.scale(r) for r in (0, 5, 10)] == pytest.approx([1.0, 0.55, 0.1])
    assert train(rounds=11, schedule="constant").scale(5) == 1.0
