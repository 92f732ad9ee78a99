"""The whole model. Film -> encoder E -> connector P -> visual prefix. Mean patch -> diagnosis head D -> 14 prompt
tokens from the table Q. [prefix][prompts][instruction] -> language model -> report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmrg_core.models.base_files import read_weights
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.contrastive_decoding import contrasted
from fedmrg_core.models.decoding import arguments, for_rows, processors
from fedmrg_core.models.generation import GREEDY, GenerationConfig
from fedmrg_core.models.language_facts import check_positions, word_spread
from fedmrg_core.models.outputs import Batch as Batch
from fedmrg_core.models.outputs import DecoderOutput as DecoderOutput
from fedmrg_core.models.outputs import Generation as Generation
from fedmrg_core.models.outputs import VisionOutput as VisionOutput
from fedmrg_core.models.registry import build_encoder, get_language_model
from fedmrg_core.models.rounded import check_bits, check_tuning
from fedmrg_core.models.tokenizer import ReportTokenizer
from fedmrg_core.models.tuning import AdapterSwitch, AdapterWeights, Tuning, tune_encoder, tune_language_model
from fedmrg_core.seeding import torch_seed
from fedmrg_core.types import CONDITIONS, LabelState, State

STATES = len(LabelState)


@dataclass(frozen=True)
class Reading:
    """What the language model continues: a context for each of B films; with contrastive decoding 2 B contexts, the
    second half of the blank prompt. adapters: for these rows. head: the diagnosis head's probabilities [B, 14, 4].
    contrast: the prompt's weight in contrastive decoding, else None. memory: as `ReportModel._memory`."""

    context: Tensor
    adapters: Sequence[str] | AdapterWeights
    head: Tensor | None
    contrast: float | None
    memory: Mapping[str, int] = field(default_factory=dict)


Adapters = Sequence[str] | AdapterWeights | Callable[[VisionOutput], AdapterWeights]
"""Names of LoRA adapters, weights by name, or a function that gives each study its weights."""


class ReportModel(nn.Module):
    """Parameter names begin with `encoder.`, `connector.`, `dx_head.`, `dx_prompts.`, `dx_positions.` or `lm.`, in some
    methods `soft_tokens.`; algorithms select by them.

    dx_positions: position embeddings of the 14 prompt tokens. In PromptMRG the decoder's absolute positions tell which
    condition a token is about. A rotary decoder sees distances only, so it needs them added. They belong to the base
    and never move in a federation.
    """

    def __init__(self, config: ModelConfig, tokenizer: ReportTokenizer, lm: Any = None) -> None:
        """lm: the language model, if it is loaded already."""
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.encoder = build_encoder(config)
        check_bits(config)
        self.lm: Any = get_language_model(config.lm).build(config, tokenizer) if lm is None else lm
        words = self.lm.get_input_embeddings()
        width = int(words.weight.shape[1])
        self.connector = nn.Linear(self.encoder.width, width)
        self.dx_head = nn.Linear(self.encoder.width, len(CONDITIONS) * STATES)
        self.dx_prompts = nn.Embedding(STATES, width)
        self.dx_positions = nn.Embedding(len(CONDITIONS), width)
        spread = word_spread(words)
        for table in (self.dx_prompts, self.dx_positions):
            nn.init.normal_(table.weight, std=spread)  # the scale of word embeddings
        for name, tokens in zip(("begin", "instruction"), tokenizer.around(config.instruction), strict=True):
            self.register_buffer(name, torch.tensor(tokens, dtype=torch.int64), persistent=False)
        self.diagnosis = self.encoder_moves = True
        self.adapters = AdapterSwitch(self.lm)
        self.check_length(config.max_tokens)

    def check_length(self, longest: int) -> None:
        """Raises ConfigError where a pretrained language model has too few positions for reports of so many tokens."""
        if not get_language_model(self.config.lm).trained_here:
            fixed = len(self.get_buffer("begin")) + len(CONDITIONS) + len(self.get_buffer("instruction"))
            check_positions(self.config, self.lm, self.encoder, fixed, longest)

    def tune(self, tuning: Tuning, adapters: Sequence[str], diagnosis: bool, seed: int) -> None:
        """Make trainable what an algorithm trains: P always, D and Q with `diagnosis`, encoder and language model as
        `tuning` says, the latter through the named adapters. Called once per process, after the base is loaded."""
        self.diagnosis, self.encoder_moves = diagnosis, tuning.encoder_kind == "full"
        self.connector.requires_grad_(True)
        for module in (self.dx_head, self.dx_prompts):
            module.requires_grad_(diagnosis)
        self.dx_positions.requires_grad_(False)
        check_tuning(self.config, tuning.kind)
        tune_encoder(self.encoder, tuning, seed)
        tune_language_model(self.lm, tuning, adapters, seed)
        self.adapters = AdapterSwitch(self.lm)

    def checkpoint_gradients(self) -> None:
        """Recompute activations in the backward pass instead of storing them, in every model that can (Hugging Face
        models; not the small conv encoder). Called after `tune`."""
        contexts = {"use_reentrant": False, "context_fn": self.adapters.contexts}
        models: tuple[Any, ...] = (self.lm, getattr(self.encoder, "backbone", None))
        for model in models:
            if getattr(model, "supports_gradient_checkpointing", False):
                enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
                enable(contexts)  # its newer name in transformers

    def train(self, mode: bool = True) -> ReportModel:
        """As of every module; but the statistics of an encoder that does not train in full stay as they are."""
        super().train(mode)
        for module in [] if self.encoder_moves else self.encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def trainable(self) -> dict[str, nn.Parameter]:
        """Parameters that training moves, by name, in the model's order."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def buffers_of_state(self) -> State:
        """Persistent floating buffers that training moves (BatchNorm's running statistics): they travel like
        parameters."""
        persistent, found = self.state_dict(), dict(self.named_buffers())
        still = () if self.encoder_moves else ("encoder.",)
        moving = (n for n in found if n in persistent and not n.startswith(still) and ".vera_" not in n)
        return {name: found[name] for name in moving if found[name].is_floating_point()}

    def encode(self, images: Tensor) -> VisionOutput:
        """Encode films uint8 [B, S, S], or with V = `model.views` views [B, V, S, S]: the patches of a study's views
        follow each other. A single film stands for all views."""
        if self.config.views > 1 and images.ndim == 3:
            images = images[:, None].expand(-1, self.config.views, -1, -1)
        each = self.encoder(images.flatten(0, -3))
        patches = each.reshape(len(images), -1, each.shape[-1])
        mean = patches.mean(dim=1)
        logits = self.diagnose(mean) if self.diagnosis else None
        return VisionOutput(patches, mean, self.connector(patches), logits)

    def diagnose(self, mean: Tensor) -> Tensor:
        """The head D: mean patch features [B, C] -> logits [B, 14, 4]."""
        logits: Tensor = self.dx_head(mean)
        return logits.view(-1, len(CONDITIONS), STATES)

    def prompt_states(self, states: Tensor) -> Tensor:
        """Label states [B, 14] as rows of Q: with 3 prompt states, negative becomes blank."""
        if self.config.prompt_states == 3:
            return torch.where(states == LabelState.NEGATIVE, int(LabelState.BLANK), states)
        return states

    def prompts(self, states: Tensor) -> Tensor:
        """Diagnosis prompt [B, 14, H]: one token per condition, the state's row of Q plus the condition's position."""
        tokens: Tensor = self.dx_prompts(self.prompt_states(states)) + self.dx_positions.weight
        return tokens

    def _context(self, prefix: Tensor, prompts: Tensor | None) -> Tensor:
        words = self.lm.get_input_embeddings()
        begin, instruction = (words(ids).expand(len(prefix), -1, -1) for ids in (self.begin, self.instruction))
        first = [prefix, begin] if self._memory(prefix) else [begin, prefix]
        parts = [*first, instruction] if prompts is None else [*first, prompts, instruction]
        return torch.cat([part for part in parts if part.shape[1]], dim=1)

    def _memory(self, prefix: Tensor) -> dict[str, int]:
        """For a language model that reads films by cross-attention (`language/cross_attention.py`): how many positions
        at the beginning of its input are the film. Empty for all others, which see films as tokens."""
        return {"memory": prefix.shape[1]} if getattr(self.lm, "cross_attends", False) else {}

    def decode(
        self,
        batch: Batch,
        prefix: Tensor,
        prompts: Tensor | None,
        adapters: Sequence[str] | AdapterWeights = ("generic",),
        constant: Sequence[str] = (),
    ) -> DecoderOutput:
        """Teacher-forced pass over the reports through `adapters` (names, or weights by name); those in `constant` get
        no gradient.

        Reports are padded on the right and attention is causal, so no token sees padding and no mask is needed.
        """
        length = batch.tokens.shape[1]
        with self.adapters.path(adapters, constant):
            words = self.lm.get_input_embeddings()(batch.tokens[:, :-1])
            inputs = torch.cat([self._context(prefix, prompts), words], dim=1)
            options = {"logits_to_keep": length, "output_hidden_states": True, "use_cache": False}
            out = self.lm(inputs_embeds=inputs, **options, **self._memory(prefix))
        targets = batch.tokens.masked_fill(~batch.mask, -100)
        loss = F.cross_entropy(out.logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100)
        return DecoderOutput(out.logits, out.hidden_states[-1][:, -length:], loss)

    def generate(
        self,
        images: Tensor,
        adapters: Adapters,
        states: Tensor | None = None,
        prompt_weight: float = 1.0,
        how: GenerationConfig = GREEDY,
        seeds: Sequence[int] = (),
    ) -> Generation:
        """Reports for films uint8 [B, S, S]: `read` and `write` in one."""
        return self.write(self.read(images, adapters, states, prompt_weight), how, seeds)

    @torch.no_grad()
    def read(
        self, images: Tensor, adapters: Adapters, states: Tensor | None = None, prompt_weight: float = 1.0
    ) -> Reading:
        """Films uint8 [B, S, S], prompts and instruction, ready for `write` and `reference_nll`.

        adapters: names, weights, or a function that gives each study its weights.
        states: label states [B, 14] for the prompt (an oracle: results must say so). Default: the head's argmax.
        prompt_weight: 1 = the prompt as it is, 0 = no prompt; any other is contrastive decoding
        (models/contrastive_decoding.py), which costs twice the time.
        """
        vision = self.encode(images)
        adapters = adapters(vision) if callable(adapters) else adapters
        head = None if vision.diagnosis is None else vision.diagnosis.float().softmax(dim=-1)
        if head is not None and states is None:
            states = head.argmax(dim=-1)
        prompts = None if head is None or states is None or prompt_weight == 0 else self.prompts(states)
        context = self._context(vision.prefix, prompts)
        if states is None or prompts is None or prompt_weight == 1:
            return Reading(context, adapters, head, None, self._memory(vision.prefix))
        blank = self.prompts(torch.full_like(states, int(LabelState.BLANK)))
        both = torch.cat([context, self._context(vision.prefix, blank)])
        return Reading(both, for_rows(adapters, 2, 1), head, prompt_weight, self._memory(vision.prefix))

    @torch.no_grad()
    def write(self, read: Reading, how: GenerationConfig = GREEDY, seeds: Sequence[int] = ()) -> Generation:
        """The reports of B films. how: greedy, beams or sampling, with bounds and penalties. seeds: of each study, for
        sampling."""
        with self.adapters.path(for_rows(read.adapters, 1, how.width)):
            tokens = self.lm.generate(
                inputs_embeds=read.context,
                attention_mask=torch.ones(read.context.shape[:2], dtype=torch.int64, device=read.context.device),
                **arguments(how, self.config.max_tokens),
                **read.memory,
                pad_token_id=self.tokenizer.pad,
                eos_token_id=self.tokenizer.end,
                logits_processor=processors(how, self.tokenizer.end, seeds, read.contrast, read.context.device),
            )
        count = len(read.context) // (1 if read.contrast is None else 2)
        made, head = tokens[:count].tolist(), None if read.head is None else read.head.cpu()
        cut = [self.tokenizer.end not in row for row in made]
        return Generation([self.tokenizer.decode(row) for row in made], head, cut)

    @torch.no_grad()
    def reference_nll(self, batch: Batch, read: Reading) -> Tensor:
        """How unlikely the reports of a batch are where `write` would write: negative log-likelihood in nats, summed
        over a report's tokens (its end token included), float64 [B] on the CPU."""
        tokens = batch.tokens if read.contrast is None else torch.cat([batch.tokens, batch.tokens])
        with self.adapters.path(read.adapters):
            inputs = torch.cat([read.context, self.lm.get_input_embeddings()(tokens[:, :-1])], dim=1)
            options = {"logits_to_keep": tokens.shape[1], "use_cache": False}
            logits = self.lm(inputs_embeds=inputs, **options, **read.memory).logits
        count, total = len(batch.images), torch.zeros(len(batch.images), dtype=torch.float64)
        for row, mask in enumerate(batch.mask):  # one by one: a large vocabulary's float32 logits need no second copy
            said = logits[row, mask].float()
            if read.contrast is not None:
                said = contrasted(said, logits[count + row, mask], read.contrast)
            total[row] = F.cross_entropy(said, batch.tokens[row, mask], reduction="none").double().sum().cpu()
        return total


_models_built = 0


def models_built() -> int:
    """How many models this process has built. A worker builds one in its life; tests check it."""
    return _models_built


def build_model(config: ModelConfig, base: Path, seed: int) -> ReportModel:
    """The model with the base's weights: `base/base.safetensors` (all that the warm-up moved) replaces fresh or
    pretrained ones. Fresh weights are a function of the seed, so every process builds the same model.
    """
    global _models_built
    _models_built += 1
    tokenizer = get_language_model(config.lm).tokenizer(config, base)
    with torch_seed(seed, "init", "model"):
        model = ReportModel(config, tokenizer)
    weights = base / "base.safetensors"
    if weights.exists():
        load_state(model, read_weights(weights, model))
    return model


def load_state(model: nn.Module, state: State) -> None:
    """Copy tensors into the model's parameters and buffers, in place, by name.

    In place because a tensor's memory alignment can decide bits (engine/memory/shared_weights.py aligns its own).
    """
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for name, tensor in state.items():
            own[name].copy_(tensor)
