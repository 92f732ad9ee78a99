"""Report text <-> token ids, with whatever tokenizer the language model has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedmrg_core.models.base_files import read_tokenizer
from fedmrg_core.models.config import ModelConfig

PAD, END = "<pad>", "<end>"
TOKENIZER_FILE = "tokenizer.json"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """A byte-level BPE tokenizer. Byte-level: it can spell every text. It sees public text only, so that no
    client's text shapes it. Returns a `tokenizers.Tokenizer`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class ReportTokenizer:
    """Encodes and decodes reports. pad, end: ids of the padding and end tokens. max_tokens: longest report in tokens,
    end token included. begin: id of the token with which the language model's input begins, if there is one."""

    def __init__(
        self,
        tokenizer: Any,
        pad: int,
        end: int,
        max_tokens: int,
        begin: int | None = None,
        turn: tuple[str, str] | None = None,
    ) -> None:
        """tokenizer: a `tokenizers.Tokenizer`. turn: a chat template's text before and after the film."""
        self._tokenizer, self.pad, self.end, self.max_tokens = tokenizer, pad, end, max_tokens
        self.begin, self._turn = begin, turn

    def around(self, instruction: str) -> tuple[list[int], list[int]]:
        """Token ids that come before the film, and those between it and the report."""
        if self._turn is not None:
            before, after = self._turn
            return self.encode(before), self.encode(after)
        return [] if self.begin is None else [self.begin], self.encode(instruction)

    @property
    def inner(self) -> Any:
        """The `tokenizers.Tokenizer` itself."""
        return self._tokenizer

    @property
    def vocab_size(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without end token."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def batch(self, reports: list[str]) -> tuple[Tensor, Tensor]:
        """Reports -> (tokens int64 [B, L] with the end token, mask bool [B, L]). Cut at `max_tokens`."""
        rows = [[*self.encode(report)[: self.max_tokens - 1], self.end] for report in reports]
        length = max(len(row) for row in rows)
        tokens = torch.full((len(rows), length), self.pad, dtype=torch.int64)
        mask = torch.zeros((len(rows), length), dtype=torch.bool)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = True
        return tokens, mask

    def decode(self, tokens: list[int]) -> str:
        """Token ids up to the first end token -> text with collapsed white space."""
        if self.end in tokens:
            tokens = tokens[: tokens.index(self.end)]
        return " ".join(self._tokenizer.decode(tokens, skip_special_tokens=True).split())


def tokenizer_of_base(config: ModelConfig, base: Path) -> ReportTokenizer:
    """The tokenizer that was trained on the public corpus: `base/tokenizer.json`. Raises DataError if it is damaged."""
    tokenizer = read_tokenizer(base / TOKENIZER_FILE)
    pad, end = (int(tokenizer.token_to_id(token) or 0) for token in (PAD, END))
    return ReportTokenizer(tokenizer, pad, end, config.max_tokens)
