"""How the language model is tuned: in full, or by named low-rank adapters. The only file that imports peft."""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fedmrg_core.adapter_names import is_adapter
from fedmrg_core.errors import ConfigError, choose, in_range, not_empty
from fedmrg_core.models.adapter_switch import AdapterSwitch as AdapterSwitch
from fedmrg_core.models.adapter_switch import AdapterWeights as AdapterWeights
from fedmrg_core.models.lora_targets import QUERY_VALUE, linear_layers, targets_of
from fedmrg_core.models.prefix_tuning import add_prefixes
from fedmrg_core.models.registry import Encoder
from fedmrg_core.seeding import derive_seed

KINDS = ("full", "frozen", "lora", "adalora", "vera", "loha", "prefix")
DRAWN = re.compile(r"\.hada_w(1_a|1_b|2_a)\.")
"""FedPara's X1, Y1 and X2 in peft, which calls it LoHa."""
ENCODER_KINDS = ("full", "frozen", "lora")


@dataclass(frozen=True)
class Tuning:
    """What training moves in the two large models: in each everything, nothing, or low-rank adapters.

    kind, of the language model: "full" = every weight, "frozen" = none, or adapters beside frozen weights: "lora" (Hu
    et al., ICLR 2022) adds (alpha / rank) B A to the target matrices; "adalora" (Zhang et al., ICLR 2023) adds
    (alpha / rank) B diag(E) A, at a fixed rank; "vera" (Kopiczko et al., ICLR 2024) trains two vectors per matrix
    between projections that all matrices share; "loha" (FedPara, Hyeon-Woo et al., ICLR 2022) adds (alpha / rank)
    (X1 Y1) o (X2 Y2), the entrywise product of two of rank r, whose rank is up to r^2, with twice LoRA's parameters;
    "prefix" (Li and Liang, ACL 2021) trains keys and values of `prefix_tokens` tokens that every layer sees first.
    rank: of the product, from 1; at the matrix's own rank LoRA can express a full update. alpha: scale; alpha = rank
    scales by 1; VeRA has none. dropout: of the adapters' inputs in training. targets: the adapted layers of the
    language model: "auto" (query and value matrices), "all-linear", or names.
    encoder_kind: "full", "frozen" (nor do its statistics move), or "lora" on its query and value matrices; without
    attention, on its linear layers.
    """

    kind: str = "full"
    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ("auto",)
    dropout: float = 0.0
    encoder_kind: str = "full"
    prefix_tokens: int = 16

    def __post_init__(self) -> None:
        choose("tuning.kind", self.kind, KINDS)
        choose("tuning.encoder_kind", self.encoder_kind, ENCODER_KINDS)
        in_range("tuning.rank", self.rank, 1)
        in_range("tuning.alpha", self.alpha, 0, above=True)
        in_range("tuning.prefix_tokens", self.prefix_tokens, 1)
        in_range("tuning.dropout", self.dropout, 0, 0.95)
        not_empty("tuning.targets", self.targets)
        if self.kind == "loha" and self.dropout > 0:
            raise ConfigError("tuning.dropout is of LoRA, AdaLoRA and VeRA; loha has none.")

    @property
    def lora(self) -> bool:
        """Whether the language model's adapters are factors B and A."""
        return self.kind == "lora"

    @property
    def adapts(self) -> bool:
        """Whether the language model has adapters."""
        return self.kind not in ("full", "frozen")


FULL = Tuning("full")
FROZEN = Tuning("frozen")
LORA = Tuning("lora")


def tune_language_model(lm: nn.Module, tuning: Tuning, adapters: Sequence[str], seed: int) -> None:
    """Make trainable what `tuning` says: all parameters, none, or those of the named adapters, which are added.

    Raises ConfigError if no layer has a target's name."""
    lm.requires_grad_(tuning.kind == "full")
    if tuning.kind == "full":
        return
    switch_off_dropout(lm)
    if tuning.kind == "prefix":
        add_prefixes(lm, adapters, tuning.prefix_tokens, seed)
        _train_adapters(lm)
    elif tuning.adapts and adapters:
        targets = targets_of(lm, tuning.targets)
        if tuning.kind == "loha":
            _check_linear(lm, targets)
        _add_adapters(lm, tuning, adapters, targets)
        init_adapters(lm, seed)
        _train_adapters(lm)


def _check_linear(lm: nn.Module, targets: Sequence[str]) -> None:
    for name, module in lm.named_modules():
        if name.split(".")[-1] in targets and not isinstance(module, nn.Linear):
            raise ConfigError(f"tuning.kind = loha adapts Linear layers, and {name} is a {type(module).__name__}.")


def tune_encoder(encoder: Encoder, tuning: Tuning, seed: int) -> None:
    """The same for the encoder, whose adapter is called "encoder". What does not serve never trains."""
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(tuning.encoder_kind == "full" and name not in encoder.unused)
    if tuning.encoder_kind == "full":
        return
    switch_off_dropout(encoder)
    if tuning.encoder_kind == "lora":
        _add_adapters(encoder, replace(tuning, kind="lora"), ("encoder",), _of(encoder))
        init_adapters(encoder, seed)
        _train_adapters(encoder)


def _of(encoder: Encoder) -> tuple[str, ...]:
    """The layers of an encoder that LoRA adapts. Raises ConfigError if it has no linear layer."""
    serving = linear_layers(encoder)
    if not serving:
        raise ConfigError("tuning.encoder_kind = lora, but this encoder has no linear layer: take frozen or full.")
    return next((names for names in QUERY_VALUE if set(names) <= set(serving)), serving)


def _add_adapters(model: nn.Module, tuning: Tuning, names: Sequence[str], targets: Sequence[str]) -> None:
    """Add named adapters to these layers, in place."""
    from peft import PeftType
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

    tuner = None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several adapters are intended
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")  # GPT-2's layers; peft adjusts
        for name in names:
            config = _peft_config(tuning, list(targets))
            if tuner is None:
                tuner = PEFT_TYPE_TO_TUNER_MAPPING[PeftType(config.peft_type)](model, config, name)
            else:
                tuner.peft_config[name] = config
                tuner.inject_adapter(model, name)


def _peft_config(tuning: Tuning, targets: list[str]) -> Any:
    from peft import AdaLoraConfig, LoHaConfig, LoraConfig, VeraConfig

    if tuning.kind == "loha":
        return LoHaConfig(r=tuning.rank, alpha=tuning.alpha, target_modules=targets)
    if tuning.kind == "vera":
        return VeraConfig(r=tuning.rank, target_modules=targets, vera_dropout=tuning.dropout)
    shared = {"lora_alpha": tuning.alpha, "target_modules": targets, "lora_dropout": tuning.dropout}
    if tuning.kind == "adalora":  # inference_mode: peft allows only one trainable adapter; they are switched on below
        rank = {"init_r": tuning.rank, "target_r": tuning.rank, "total_step": 1}
        return AdaLoraConfig(**rank, **shared, inference_mode=True)
    return LoraConfig(r=tuning.rank, **shared)


def _train_adapters(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_adapter(name))


def switch_off_dropout(model: nn.Module) -> None:
    """Set the dropout of all parts of a frozen model to 0: layers of dropout, and the rates that attention reads."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def init_adapters(model: nn.Module, seed: int) -> None:
    """Draw every A from (seed, its name), and set to 0 what makes an adapter change nothing: LoRA's B, AdaLoRA's E (its
    B is drawn too), VeRA's b, FedPara's Y2. The order of adding does not matter."""
    svd = any(".lora_E." in name for name, _ in model.named_parameters())
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            continue
        if ".lora_A." in name or (svd and ".lora_B." in name) or DRAWN.search(name):
            bound = 1.0 / math.sqrt(parameter.shape[1])  # kaiming_uniform(a=sqrt(5)), as peft does
            draw = torch.Generator().manual_seed(derive_seed(seed, "init", name))
            with torch.no_grad():
                parameter.copy_(torch.rand(parameter.shape, generator=draw) * 2 * bound - bound)
        elif any(part in name for part in (".lora_B.", ".lora_E.", ".vera_lambda_b.", ".hada_w2_b.")):
            nn.init.zeros_(parameter)


def save_adapter(lm: nn.Module, weights: Mapping[str, float], folder: Path, base: str) -> None:
    """Write adapters as one in peft's own files. Several LoRA adapters become one of their ranks' sum: B = [B1 B2],
    A = [A1; A2], with each B times its weight. base: name of the language model, for whoever reads the files.

    Raises ConfigError for several adapters of another kind, and for prefixes.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    model: Any = lm
    if not hasattr(lm, "peft_config"):
        raise ConfigError("tuning.kind = prefix: prefixes cannot be exported.")
    states = [get_peft_model_state_dict(model, adapter_name=name) for name in weights]
    config = copy.copy(model.peft_config[next(iter(weights))])
    if len(states) > 1 or set(weights.values()) != {1.0}:
        if str(config.peft_type) not in ("LORA", "PeftType.LORA"):
            raise ConfigError(f"adapters of kind {config.peft_type} cannot be exported as one: only LoRA's can.")
        parts = [{n: t * w if ".lora_B." in n else t for n, t in state.items()}
                 for state, w in zip(states, weights.values(), strict=True)]  # fmt: skip
        joined = {n: torch.cat([p[n] for p in parts], dim=1 if ".lora_B." in n else 0) for n in parts[0]}
        config.r, config.lora_alpha = config.r * len(parts), config.lora_alpha * len(parts)
    else:
        joined = states[0]
    config.base_model_name_or_path, config.inference_mode, config.task_type = base, True, "CAUSAL_LM"
    config.save_pretrained(str(folder))
    named = {f"base_model.model.{n}": t.detach().cpu().clone().contiguous() for n, t in joined.items()}
    save_file(named, str(folder / "adapter_model.safetensors"), {"format": "pt"})


def load_adapter(lm: Any, folder: Path) -> Any:
    """A language model with the adapter of a folder, as peft reads it."""
    from peft import PeftModel

    return PeftModel.from_pretrained(lm, str(folder))


def merge_adapters(model: nn.Module) -> None:
    """Add the adapters of every layer to its weights, in place."""
    for layer in [module for module in model.modules() if hasattr(module, "base_layer")]:
        merge: Any = layer.merge
        merge()
