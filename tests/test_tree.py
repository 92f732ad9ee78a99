from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from fedmrg_core import tree


def test_weighted_mean_is_numpys_average_in_float64() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 3, 2)).astype(np.float32)
    weights = [1.0, 2.0, 3.0, 4.0, 5.0]
    mean = tree.weighted_mean(({"w": torch.from_numpy(v)}, w) for v, w in zip(values, weights, strict=True))
    expected = np.average(values.astype(np.float64), axis=0, weights=weights)
    np.testing.assert_allclose(mean["w"].numpy(), expected, rtol=1e-7)
    assert mean["w"].dtype == torch.float32


def test_weighted_mean_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="nothing to average"):
        tree.weighted_mean([])


def test_sha256_is_over_sorted_name_dtype_shape_bytes() -> None:
    state = {"b": torch.arange(4, dtype=torch.float32).reshape(2, 2), "a": torch.tensor(1, dtype=torch.int64)}
    digest = hashlib.sha256()
    digest.update(b"a|torch.int64|()|" + np.int64(1).tobytes())
    digest.update(b"b|torch.float32|(2, 2)|" + np.arange(4, dtype=np.float32).tobytes())
    assert tree.sha256(state) == digest.hexdigest()
    assert tree.sha256({"b": state["b"].T, "a": state["a"]}) != tree.sha256(state)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_nonfinite_names_the_tensor(bad: float) -> None:
    state = {"fine": torch.zeros(2), "spoilt": torch.tensor([0.0, bad]), "whole": torch.tensor([1])}
    assert tree.nonfinite(state) == "spoilt"
    assert tree.nonfinite({"fine": state["fine"], "whole": state["whole"]}) is None
    assert tree.nonfinite({"its sum overflows": torch.full((4,), 3e38)}) is None


def scattered(seed: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shapes = {"a": (3, 5), "one": (), "none": (0, 4), "long": (tree.CHUNK + 7,), "b": (16,)}
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def test_in_one_buffer_the_bits_are_those_of_scattered_tensors() -> None:
    apart = [scattered(seed) for seed in range(3)]
    joined = [tree.as_flat(state) for state in apart]
    assert all(tree.flat(state) is None for state in apart)
    assert all(tree.flat(state) is not None for state in joined)
    means = [tree.weighted_mean(zip(states, (3.0, 1.0, 7.0), strict=True)) for states in (apart, joined)]
    sums = [tree.add(states[0], mean, 0.3) for states, mean in zip((apart, joined), means, strict=True)]
    gaps = [tree.subtract(states[1], states[2]) for states in (apart, joined)]
    for pair in (means, sums, gaps):
        assert tree.sha256(pair[0]) == tree.sha256(pair[1])
        assert tree.flat(pair[1]) is not None
    mixed = tree.weighted_mean(zip([joined[0], apart[1], joined[2]], (3.0, 1.0, 7.0), strict=True))
    assert tree.sha256(mixed) == tree.sha256(means[0])


def test_only_neighbours_of_one_kind_count_as_one_buffer() -> None:
    state = tree.as_flat(scattered(0))
    assert tree.as_flat(state) is state
    assert tree.flat({name: state[name] for name in ("a", "long")}) is None
    assert tree.flat({**state, "b": torch.zeros(16)}) is None
    assert tree.flat({"w": torch.zeros(4, 4).T}) is None
    assert tree.flat({"w": torch.zeros(64, dtype=torch.uint8)[3:], "n": torch.zeros(2)}) is None
    assert tree.flat({}) is None


@pytest.mark.parametrize("name", ["a", "long", "b"])
def test_nonfinite_finds_the_tensor_in_one_buffer(name: str) -> None:
    state = tree.as_flat(scattered(0))
    assert tree.nonfinite(state) is None
    state[name].view(-1)[-1] = float("nan")
    assert tree.nonfinite(state) == name
