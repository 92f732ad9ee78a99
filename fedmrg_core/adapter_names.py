"""Parameters of adapters, by their names: `..q_proj.lora_A.generic.weight` is one of the adapter `generic`."""

from __future__ import annotations

import re

PARAMETER = re.compile(r"\.(?:lora_(?:[ABE]|gate)|vera_lambda_[bd]|hada_w[12]_[ab]|prefix_tokens)\.([^.]+)")


def is_adapter(name: str) -> bool:
    """Whether a parameter belongs to an adapter.

    >>> is_adapter("lm.q_proj.lora_A.generic.weight"), is_adapter("lm.q_proj.weight")
    (True, False)
    """
    return PARAMETER.search(name) is not None


def adapter_of(name: str) -> str | None:
    """The adapter that a parameter belongs to; None for the model's own parameters."""
    found = PARAMETER.search(name)
    return found and found[1]
