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
