"""From the language model's scores to tokens, as `GenerationConfig` says: what is given to transformers' `generate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fedmrg_core.models.contrastive_decoding import contrasted
from fedmrg_core.models.generation import GenerationConfig
from fedmrg_core.models.tuning import AdapterWeights


def arguments(config: GenerationConfig, max_tokens: int) -> dict[str, Any]:
    """Keyword arguments of transformers' `generate`, besides the logits processors."""
    beam = {"num_beams": config.width, "length_penalty": config.length_penalty} if config.width > 1 else {}
    return {"max_new_tokens": config.longest(max_tokens), "do_sample": False, "use_cache": True, **beam}


def processors(
    config: GenerationConfig, end: int, seeds: Sequence[int], contrast: float | None, device: torch.device
) -> Any:
    """What happens to the scores [rows, V] of the next token, in order. Sampling is Gumbel noise on them, of which the
    largest is taken (Maddison et al. 2014): a study's report depends on its own seed, not on its batch.

    seeds: one per study, for sampling. contrast: the weight of contrastive decoding, where the second half of the rows
    repeats the first under the blank prompt. device: of the scores.
    """
    from transformers import LogitsProcessorList
    from transformers.generation import logits_process

    theirs: Any = logits_process
    sample = config.strategy == "sample"
    steps: list[Any] = [
        contrast is not None and _Contrast(contrast or 0.0, normalise=config.width > 1 or sample),
        config.repetition_penalty != 1 and theirs.RepetitionPenaltyLogitsProcessor(config.repetition_penalty),
        config.no_repeat_ngram and theirs.NoRepeatNGramLogitsProcessor(config.no_repeat_ngram),
        config.min_new_tokens and theirs.MinLengthLogitsProcessor(config.min_new_tokens, end, str(device)),
        sample and theirs.TemperatureLogitsWarper(config.sampling_temperature),
        sample and config.top_k and theirs.TopKLogitsWarper(config.top_k),
        sample and config.top_p < 1 and theirs.TopPLogitsWarper(config.top_p),
        sample and _Noise(seeds),
    ]
    return LogitsProcessorList([step for step in steps if step])


def for_rows(adapters: Sequence[str] | AdapterWeights, halves: int, beams: int) -> Sequence[str] | AdapterWeights:
    """Adapters for a batch whose studies come `halves` times, one block after the other, each row `beams` times."""
    if not isinstance(adapters, Mapping) or halves * beams == 1:
        return adapters
    return {
        name: weight.repeat(halves).repeat_interleave(beams) if isinstance(weight, Tensor) else weight
        for name, weight in adapters.items()
    }


class _Contrast:
    """Contrastive decoding (models/contrastive_decoding.py). normalise: where scores of several tokens add up, or are
    probabilities."""

    def __init__(self, weight: float, normalise: bool) -> None:
        self._weight, self._normalise = weight, normalise

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        prompted, blank = scores.chunk(2)
        mixed = contrasted(prompted, blank, self._weight)
        return (mixed.log_softmax(dim=-1) if self._normalise else mixed).repeat(2, 1)


class _Noise:
    """Adds Gumbel noise, drawn on the CPU from a generator per study; both halves of a contrast get the same."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        size = scores.shape[-1]
        drawn = [torch.empty(size).exponential_(generator=generator) for generator in self._generators]
        noise = torch.stack(drawn).log().to(scores.device)
        return scores - noise.repeat(len(scores) // len(noise), 1)
