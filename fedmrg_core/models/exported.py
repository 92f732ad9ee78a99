"""A trained model as files that other tools read, and back from them.

adapter_config.json, adapter_model.safetensors   the language model's adapter, as peft writes it
vision.safetensors     encoder, connector, diagnosis head and prompts, under ReportModel's names
language_model/        the language model where no hub has it, or where training changed it
tokenizer.json, ..     its tokenizer
fedmrg.json            settings of model and generation
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fedmrg_core.adapter_names import is_adapter
from fedmrg_core.errors import ConfigError, DataError, first_line
from fedmrg_core.files import write_atomic
from fedmrg_core.models.config import NEWER, ModelConfig
from fedmrg_core.models.generation import GenerationConfig
from fedmrg_core.models.registry import get_language_model
from fedmrg_core.models.report_model import ReportModel, load_state
from fedmrg_core.models.rounded import WHOLE, loading_options
from fedmrg_core.models.tokenizer import END, PAD
from fedmrg_core.models.tuning import load_adapter, merge_adapters, save_adapter
from fedmrg_core.types import State

FACTS, VISION, LANGUAGE_MODEL = "fedmrg.json", "vision.safetensors", "language_model"
ADAPTER = "default"
"""The name that peft gives the adapter of a folder."""


def export_model(
    model: ReportModel,
    weights: Mapping[str, float],
    prompt_weight: float,
    how: GenerationConfig,
    folder: Path,
    changed: bool = False,
) -> None:
    """Write the model that generates with these adapters and settings; the model itself may not be used afterwards.

    weights: adapters with their weight. changed: whether the algorithm changed frozen weights of the language model.
    Then, and where it was tuned in full or trained here, it is written
    whole. Raises ConfigError where its adapters cannot be one.
    """
    from safetensors.torch import save_file

    config, lm = model.config, model.lm
    if hasattr(model, "soft_tokens"):
        raise ConfigError("this model has trained tokens in its input, which an exported model has no place for.")
    named = get_language_model(config.lm)
    folder.mkdir(parents=True, exist_ok=True)
    own = {name: weight for name, weight in weights.items() if name in model.adapters.names}
    whole = named.trained_here or any(p.requires_grad for n, p in lm.named_parameters() if not is_adapter(n))
    base = LANGUAGE_MODEL if whole or changed else config.lm
    if own:
        save_adapter(lm, own, folder, base)
    if base == LANGUAGE_MODEL:
        _save_language_model(lm, folder / LANGUAGE_MODEL)
    merge_adapters(model.encoder)
    vision = {name: tensor for name, tensor in _plain(model).items() if not name.startswith("lm.")}
    save_file({name: tensor.contiguous() for name, tensor in vision.items()}, str(folder / VISION), _TORCH)
    _save_tokenizer(model, folder)
    facts: dict[str, Any] = {"prompt_weight": prompt_weight, "model": asdict(config), "generation": asdict(how)}
    facts |= {"language_model": base, "adapter": bool(own), "diagnosis": model.diagnosis}
    facts["revision"] = getattr(lm.config, "_commit_hash", None)
    write_atomic(folder / FACTS, (json.dumps({"format": 1, **facts}, indent=1) + "\n").encode())


_TORCH = {"format": "pt"}


def _plain(model: Any) -> State:
    """A model's tensors without adapters, under the names that it has without them; of tied ones the first."""
    state: State = {}
    seen = set()
    for name, tensor in model.state_dict().items():
        if not is_adapter(name) and tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            state[name.replace(".base_layer.", ".")] = tensor.detach().cpu()
    return state


def _save_language_model(lm: Any, folder: Path) -> None:
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    lm.config.save_pretrained(str(folder))
    save_file({n: t.contiguous() for n, t in _plain(lm).items()}, str(folder / "model.safetensors"), _TORCH)


def _save_tokenizer(model: ReportModel, folder: Path) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if get_language_model(model.config.lm).trained_here:
        inner = model.tokenizer.inner
        tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token=PAD, eos_token=END)
    else:
        from fedmrg_core.models.packaged import checkpoint_path

        tokenizer = AutoTokenizer.from_pretrained(checkpoint_path(model.config.lm))
    tokenizer.save_pretrained(str(folder))


def read_facts(folder: Path) -> dict[str, Any]:
    """The content of `fedmrg.json`. Raises DataError where it is missing or damaged."""
    try:
        return dict(json.loads((folder / FACTS).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"cannot be read: {first_line(error)}", str(folder / FACTS)) from None


def load_language_model(folder: Path) -> Any:
    """The exported language model with its adapter, by transformers and peft alone."""
    from transformers import AutoModelForCausalLM

    facts = read_facts(folder)
    options = loading_options(facts["model"].get("lm_bits", WHOLE))
    lm = AutoModelForCausalLM.from_pretrained(_language_model(folder, facts), use_safetensors=True, **options)
    return load_adapter(lm, folder) if facts["adapter"] else lm


def _language_model(folder: Path, facts: Mapping[str, Any]) -> str:
    from fedmrg_core.models.packaged import checkpoint_path

    name = str(facts["language_model"])
    return str(folder / name) if name == LANGUAGE_MODEL else checkpoint_path(name)


def load_exported(folder: Path) -> tuple[ReportModel, dict[str, Any]]:
    """The exported model, and the arguments with which `generate` writes what the run wrote.

        model, settings = load_exported(Path("exported"))
        model.generate(images, **settings).reports

    Raises ConfigError or DataError where a file is missing or does not fit.
    """
    from safetensors.torch import load_file

    from fedmrg_core.models.language.huggingface import own_tokenizer

    facts = read_facts(folder)
    stored: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in facts["model"].items()}
    config = ModelConfig(**{**NEWER, **stored})
    tokenizer = own_tokenizer(replace(config, lm=str(folder)), folder)
    model = ReportModel(replace(config, lm=_language_model(folder, facts)), tokenizer, load_language_model(folder))
    model.diagnosis = bool(facts["diagnosis"])
    try:
        load_state(model, load_file(str(folder / VISION)))
    except (OSError, KeyError, RuntimeError) as error:
        raise ConfigError(f"{folder / VISION} does not fit {config.encoder}: {first_line(error)}") from None
    adapters = (ADAPTER,) if facts["adapter"] else ()
    how = GenerationConfig(**facts["generation"])
    return model.eval(), {"adapters": adapters, "prompt_weight": facts["prompt_weight"], "how": how}
