"""CheXbert (Smit et al., EMNLP 2020) as a labeler, from weights of the user; nothing is downloaded.

    labeler = chexbert.load(Path("chexbert.pth"))        # in the same folder: vocab.txt of bert-base-uncased
    labeler(["Small left pleural effusion."])            # [Labels]

The architecture is the published one: BERT, its [CLS] state, 13 linear heads of 4 classes (blank, positive, negative,
uncertain: `LabelState`'s order) and a No Finding head of 2 (blank, positive). The published checkpoint is a pickle and
is read with `weights_only=True`, which runs no code. A safetensors file with the same tensor names works too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fedmrg_core.errors import DataError, first_line
from fedmrg_core.types import CONDITIONS, Labels

CLASSES = (4,) * (len(CONDITIONS) - 1) + (2,)
"""Classes of each head, in the order of `CONDITIONS`."""


class CheXbertNet(nn.Module):
    """BERT with 14 heads on the [CLS] state; `forward` gives one [batch, classes] tensor per condition."""

    def __init__(self, bert: nn.Module, hidden: int) -> None:
        super().__init__()
        self.bert = bert
        self.dropout = nn.Dropout(0.1)
        self.linear_heads = nn.ModuleList([nn.Linear(hidden, classes) for classes in CLASSES])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> list[Tensor]:
        states = self.bert(input_ids, attention_mask=attention_mask)[0]
        cls = self.dropout(states[:, 0])
        return [head(cls) for head in self.linear_heads]


@dataclass(frozen=True)
class CheXbertLabeler:
    """Labels reports with a loaded network; call it as `labeler(reports)`."""

    net: CheXbertNet
    tokenizer: Any
    version: str
    batch: int = 32

    def __call__(self, reports: Sequence[str]) -> list[Labels]:
        distinct = sorted(set(reports), key=len)
        labels: dict[str, Labels] = {}
        for start in range(0, len(distinct), self.batch):
            chunk = distinct[start : start + self.batch]
            labels.update(zip(chunk, self._label(chunk), strict=True))
        return [labels[report] for report in reports]

    def _label(self, reports: Sequence[str]) -> list[Labels]:
        texts = [" ".join(report.split()) for report in reports]
        limit = self.net.bert.config.max_position_embeddings  # type: ignore[union-attr]
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=limit)
        with torch.inference_mode():
            outputs = self.net(inputs["input_ids"], inputs["attention_mask"])
        states = torch.stack([output.argmax(-1) for output in outputs], dim=1)
        return [tuple(int(state) for state in row) for row in states]


def load(weights: Path, batch: int = 32) -> CheXbertLabeler:
    """The labeler from a checkpoint file (.pth, .pt or .safetensors) with `vocab.txt` in the same folder.

    Raises:
        DataError: a file is missing or cannot be read safely, or its tensors are not CheXbert's.
    """
    from transformers import BertTokenizerFast

    vocabulary = weights.parent / "vocab.txt"
    for file, needed in ((weights, _CHECKPOINT), (vocabulary, _VOCABULARY)):
        if not file.is_file():
            raise DataError(f"not found; CheXbert needs {needed}", str(file))
    state = strip_prefixes(read_state(weights))
    net = build(state, weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    tokenizer = BertTokenizerFast(vocab_file=str(vocabulary), vocab=str(vocabulary), do_lower_case=True)
    return CheXbertLabeler(net, tokenizer, f"chexbert {digest}", batch)


_CHECKPOINT = "its checkpoint, from github.com/stanfordmlgroup/CheXbert"
_VOCABULARY = "bert-base-uncased's vocab.txt in the folder of the weights"


def read_state(weights: Path) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint; code in it is not run."""
    if weights.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return dict(load_file(weights))
        except Exception as error:
            raise DataError(f"is damaged: {first_line(error)}", str(weights)) from error
    try:
        content = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = first_line(error)
        raise DataError(f"not a checkpoint that can be read safely ({reason})", str(weights)) from error
    state = content.get("model_state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError("has no state dict of tensors", str(weights))
    return state


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without DataParallel's `module.`, and without the position buffer of old transformers."""
    names = ((name.removeprefix("module."), value) for name, value in state.items())
    return {name: value for name, value in names if not name.endswith("embeddings.position_ids")}


def build(state: Mapping[str, Tensor], weights: Path) -> CheXbertNet:
    """The network, sized by its tensors (attention heads: from config.json in the same folder, else hidden / 64)."""
    from transformers import BertConfig, BertModel

    try:
        words, hidden = state["bert.embeddings.word_embeddings.weight"].shape
        inner = state["bert.encoder.layer.0.intermediate.dense.weight"].shape[0]
        positions = state["bert.embeddings.position_embeddings.weight"].shape[0]
    except KeyError as error:
        raise DataError(f"is not a CheXbert checkpoint: no tensor {error}", str(weights)) from error
    layers = 1 + max(int(name.split(".")[3]) for name in state if name.startswith("bert.encoder.layer."))
    settings = weights.parent / "config.json"
    try:
        given = json.loads(settings.read_bytes()) if settings.is_file() else {}
    except ValueError as error:
        raise DataError(f"is damaged: {first_line(error)}", str(settings)) from None
    config = BertConfig(
        vocab_size=words,
        hidden_size=hidden,
        num_hidden_layers=layers,
        intermediate_size=inner,
        max_position_embeddings=positions,
        num_attention_heads=given.get("num_attention_heads", max(1, hidden // 64)),
    )
    pooled = "bert.pooler.dense.weight" in state
    net = CheXbertNet(BertModel(config, add_pooling_layer=pooled), hidden)
    try:
        net.load_state_dict(dict(state))
    except RuntimeError as error:
        raise DataError(f"is not a CheXbert checkpoint: {first_line(error, last=True)}", str(weights)) from error
    return net.eval()
