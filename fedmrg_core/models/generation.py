"""Settings of generation: greedy, beam search or sampling, with bounds on length and penalties on repetition. All
values are this project's; a checkpoint's `generation_config.json` is never read."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.errors import ConfigError, choose, in_range

STRATEGIES = ("greedy", "beam", "sample")


@dataclass(frozen=True)
class GenerationConfig:
    """Only the report's own tokens count, its end token included; the prompt before it does not.

    strategy: "greedy" = the likeliest token each time; "beam" = the best of `beams` reports that grow together;
        "sample" = drawn by probability, seeded by run and study.
    beams: of beam search; 1 = greedy.
    length_penalty: of beam search: a report's log-probability is divided by its length to this power. 0 = the likeliest
        report, which is short; larger values prefer longer ones.
    min_new_tokens: no report ends before it has so many; 0 = no bound.
    max_new_tokens: a report is cut there; 0 = model.max_tokens, the bound of training.
    repetition_penalty: of tokens that the report has already (Keskar et al. 2019); 1 = none.
    no_repeat_ngram: no sequence of so many tokens comes twice (Paulus et al. 2018); 0 = all may.
    sampling_temperature: below 1 sharpens the distribution that is sampled, above 1 flattens it. top_k: only among the
        k likeliest tokens; 0 = all. top_p: only among the likeliest with together this probability; 1 = all.
    """

    strategy: str = "greedy"
    beams: int = 3
    length_penalty: float = 1.0
    min_new_tokens: int = 0
    max_new_tokens: int = 0
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    sampling_temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        choose("generation.strategy", self.strategy, STRATEGIES)
        in_range("generation.beams", self.beams, 1, 64)
        in_range("generation.length_penalty", self.length_penalty, -10, 10)
        for name in ("min_new_tokens", "max_new_tokens"):
            in_range(f"generation.{name}", getattr(self, name), 0, 4096, unit="tokens")
        in_range("generation.repetition_penalty", self.repetition_penalty, 0, 10, above=True)
        in_range("generation.no_repeat_ngram", self.no_repeat_ngram, 0, 64)
        in_range("generation.sampling_temperature", self.sampling_temperature, 0, above=True)
        in_range("generation.top_k", self.top_k, 0)
        in_range("generation.top_p", self.top_p, 0, 1, above=True)

    @property
    def width(self) -> int:
        """Reports per study that grow together."""
        return self.beams if self.strategy == "beam" else 1

    def longest(self, max_tokens: int) -> int:
        """Most tokens of a report; max_tokens: of training. Raises ConfigError where the shortest is no shorter."""
        longest = self.max_new_tokens or max_tokens
        if self.min_new_tokens >= longest:
            raise ConfigError(
                f"generation.min_new_tokens = {self.min_new_tokens} leaves no room for an end below"
                f" {longest} tokens ({'generation.max_new_tokens' if self.max_new_tokens else 'model.max_tokens'})."
            )
        return longest


GREEDY = GenerationConfig()
"""The defaults, as in `benchmark/configs/defaults.toml`."""
