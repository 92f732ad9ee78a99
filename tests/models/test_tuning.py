"""What moves under each kind of tuning: of the language model, and of the encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.engine.trainer import parameter_groups
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.registry import get_language_model
from fedmrg_core.models.report_model import Batch, ReportModel
from fedmrg_core.models.tuning import Tuning, save_adapter
from fedmrg_core.seeding import derive_seed
from tests.models.families import ENCODERS, LANGUAGE_MODELS, TEXTS, save
from tests.toy import Run, toy_config, toy_spec

NAMES = {family.name: family for family in (*LANGUAGE_MODELS, *ENCODERS)}


def build(folder: Path, tuning: Tuning, lm: str = "Llama", encoder: str = "conv") -> ReportModel:
    own = encoder if encoder == "conv" else str(save(NAMES[encoder], folder / encoder))
    path = save(NAMES[lm], folder / lm)
    config = toy_config("fedmrg", "encoder_channels=8,8", "image_size=32", f"encoder={own}", f"lm={path}").model
    model = ReportModel(config, get_language_model(config.lm).tokenizer(config, path))
    model.tune(tuning, ("generic", "specialised") if tuning.adapts else (), diagnosis=True, seed=0)
    return model


def batch_of(model: ReportModel) -> Batch:
    films = torch.randint(0, 256, (2, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Batch(films, *model.tokenizer.batch(TEXTS[:2]), torch.zeros(2, 14, dtype=torch.int64))


def logits(model: ReportModel, *adapters: str) -> torch.Tensor:
    batch = batch_of(model)
    vision = model.encode(batch.images)
    return model.decode(batch, vision.prefix, model.prompts(batch.states), adapters).logits


def moving(model: ReportModel, part: str) -> set[str]:
    return {name for name in {**model.trainable(), **model.buffers_of_state()} if name.startswith(part)}


PARTS = {
    "lora": ("lora_A", "lora_B"), "adalora": ("lora_A", "lora_B", "lora_E"), "vera": ("vera_lambda",),
    "loha": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("lm", "kind"), [*(("Llama", kind) for kind in PARTS), *(("GPT-2", kind) for kind in PARTS if kind != "loha")]
)
def test_adapters_begin_as_the_frozen_model_and_alone_train(lm: str, kind: str, tmp_path: Path) -> None:
    frozen, model = (build(tmp_path, Tuning(each, rank=2), lm).train() for each in ("frozen", kind))
    assert moving(frozen, "lm.") == set()
    found = {name.split(".")[-2 if name.endswith("weight") else -1] for name in moving(model, "lm.")}
    assert found == {"generic", "specialised"}
    assert all(any(f".{part}" in name for part in PARTS[kind]) for name in moving(model, "lm."))
    for name, parameter in frozen.named_parameters():
        if not name.startswith("lm."):
            model.get_parameter(name).data.copy_(parameter)
    assert logits(model, "generic").equal(logits(frozen))
    (logits(model, "generic").square().sum() + logits(model, "specialised").square().sum()).backward()
    parameters = model.trainable()
    assert all(parameters[name].grad is not None for name in moving(model, "lm."))
    again = build(tmp_path, Tuning(kind, rank=2), lm)
    assert all(again.get_parameter(name).equal(parameters[name]) for name in moving(model, "lm.")), "not seeded"


def test_fedparas_product_has_the_square_of_its_rank(tmp_path: Path) -> None:
    """(X1 Y1) o (X2 Y2), times alpha / rank: rank 9 from two products of rank 3."""
    model = build(tmp_path, Tuning("loha", rank=3, alpha=6.0))
    layer = next(module for module in model.modules() if hasattr(module, "hada_w1_a"))
    x1, y1, x2, y2 = (getattr(layer, f"hada_w{part}")["generic"] for part in ("1_a", "1_b", "2_a", "2_b"))
    torch.nn.init.normal_(y2, generator=torch.Generator().manual_seed(0))
    added = layer.get_delta_weight("generic")  # type: ignore[operator]
    torch.testing.assert_close(added, 2.0 * (x1 @ y1) * (x2 @ y2))
    assert int(torch.linalg.matrix_rank(added)) == 9


def test_fedpara_says_what_it_cannot_adapt(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"adapts Linear layers, and .* is a Conv1D"):
        build(tmp_path, Tuning("loha"), "GPT-2")
    with pytest.raises(ConfigError, match="loha has none"):
        Tuning("loha", dropout=0.1)


@pytest.mark.parametrize("lm", [family.name for family in LANGUAGE_MODELS if family.name != "Gemma2"])
def test_a_fresh_prefix_is_words_before_the_input(lm: str, tmp_path: Path) -> None:
    """Until it is trained: the same logits as of a frozen model that reads the drawn words, then the input."""
    model = build(tmp_path, Tuning("prefix", prefix_tokens=3), lm).eval()
    words, inputs = model.lm.get_input_embeddings(), torch.randn(2, 5, model.connector.out_features)
    draw = torch.Generator().manual_seed(derive_seed(0, "init", "prefix.specialised"))
    first = words(torch.randint(0, len(words.weight), (1, 3), generator=draw)).expand(2, -1, -1)
    positions = torch.arange(8)[None]
    with torch.no_grad():
        with model.adapters.path(()):
            whole = model.lm(inputs_embeds=torch.cat([first, inputs], dim=1), position_ids=positions).logits[:, 3:]
        with model.adapters.path(("specialised",)):
            read = model.lm(inputs_embeds=inputs, position_ids=positions[:, 3:].expand(2, -1)).logits
        with model.adapters.path(("generic",)):
            other = model.lm(inputs_embeds=inputs, position_ids=positions[:, 3:].expand(2, -1)).logits
    torch.testing.assert_close(read, whole, rtol=1e-4, atol=1e-6)
    assert not other.allclose(read, rtol=1e-4, atol=1e-6)
    assert all(".prefix_tokens." in name for name in moving(model, "lm."))
    batch = batch_of(model)
    cached = model.generate(batch.images, ("generic", "specialised")).reports
    model.lm.generation_config.use_cache = False
    assert model.generate(batch.images, ("generic", "specialised")).reports == cached
    vision = model.encode(batch.images)
    model.decode(batch, vision.prefix, None, ("generic", "specialised"), constant=("generic",)).loss.backward()
    trained = {name.rsplit(".", 1)[-1] for name in moving(model, "lm.") if model.get_parameter(name).grad is not None}
    assert trained == {"specialised"}


def test_what_cannot_be_done_with_a_prefix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="prefixes cannot be exported"):
        save_adapter(build(tmp_path, Tuning("prefix")).lm, {"generic": 1.0}, tmp_path, "base")
    with pytest.raises(ConfigError, match=r"prefix is not for this language model: .*softcap"):
        build(tmp_path, Tuning("prefix"), "Gemma2")


def test_dropout_of_adapters_is_of_training_only(tmp_path: Path) -> None:
    model = build(tmp_path, Tuning("lora", rank=2, dropout=0.5))
    for name in moving(model, "lm."):
        torch.nn.init.constant_(model.get_parameter(name), 0.3)
    assert logits(model.eval(), "generic").equal(logits(model, "generic"))
    assert not logits(model.train(), "generic").equal(logits(model, "generic"))


def test_a_frozen_encoder_stays_as_it_is_and_does_not_travel(tmp_path: Path) -> None:
    full = build(tmp_path, Tuning("frozen"), encoder="ResNet")
    assert any(name.endswith("running_mean") for name in moving(full, "encoder."))
    model = build(tmp_path, Tuning("frozen", encoder_kind="frozen"), encoder="ResNet")
    assert moving(model, "encoder.") == set()
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    films = batch_of(model).images
    assert model.train().encode(films).patches.equal(model.eval().encode(films).patches)
    assert all(tensor.equal(before[name]) for name, tensor in model.encoder.state_dict().items())


@pytest.mark.parametrize("encoder", ["ViT", "Swin", "ConvNeXt", "SigLIP, full"])
def test_lora_of_an_encoder(encoder: str, tmp_path: Path) -> None:
    model = build(tmp_path, Tuning("frozen", rank=2, encoder_kind="lora"), encoder=encoder).train()
    names = moving(model, "encoder.")
    assert all(".lora_A.encoder." in name or ".lora_B.encoder." in name for name in names)
    logits(model).square().sum().backward()
    assert [name for name in names if model.get_parameter(name).grad is None] == []


def test_an_encoder_without_linear_layers_takes_no_lora(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no linear layer: take frozen or full"):
        build(tmp_path, Tuning("frozen", encoder_kind="lora"), encoder="ResNet")


def test_the_encoder_may_have_a_learning_rate_of_its_own() -> None:
    train = toy_config("fedmrg", "encoder_lr=1e-4", "lr=1e-3", "adapter_lr=1e-2").train
    names = ("encoder.stages.0.weight", "connector.weight", "dx_prompts.weight", "lm.q.lora_A.generic.weight")
    assert [train.lr_of(name) for name in names] == [1e-4, 1e-3, 1e-2, 1e-2]
    parameters = {name: torch.nn.Parameter(torch.zeros(1)) for name in names}
    assert {group["lr"]: len(group["params"]) for group in parameter_groups(parameters, train, 0.5)} == {
        5e-5: 1, 5e-4: 1, 5e-3: 2,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["frozen", "adalora", "vera", "prefix"])
def test_bytes_follow_what_moves(kind: str, toy_cache: Path) -> None:
    """Rounds of fedmrg (of fedlora for a frozen language model) with a frozen encoder: it is in no message."""
    algo = "fedlora" if kind == "frozen" else "fedmrg"
    run = Run(toy_spec(toy_cache, algo, f"tuning.kind={kind}", "encoder_kind=frozen"))
    parts = {name.split(".")[0] for name in run.server.params}
    assert "encoder" not in parts
    assert ("lm" in parts) == (kind != "frozen")
    sent = sum(tensor.nbytes for tensor in run.server.params.values())
    down = [row["bytes"] for log in run.logs for row in log.ledger if row["direction"] == "download"]
    assert max(down) < sent + 20_000
