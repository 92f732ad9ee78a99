"""Settings: every layer, every type, every range; what is refused names the value and what is allowed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.run import settings
from fedmrg_core.engine.failures import Fault, Policy, read_table
from fedmrg_core.errors import ConfigError, in_range

OUT_OF_RANGE = [
    "run.seed=-1", "run.clients=-1",
    "train.rounds=-1", "participation=0", "participation=1.5", "local_epochs=0", "local_steps=-1", "train.batch_size=0",
    "lr=-1", "lr=nan", "lr=inf", "adapter_lr=-1", "weight_decay=-0.1", "clip_norm=-1", "optimizer=adam",
    "schedule=step",
    "encoder=", "lm=", "image_size=8", "image_size=4096", "encoder_channels=", "encoder_channels=24,0", "lm_hidden=0",
    "lm_hidden=90", "lm_layers=0", "lm_heads=0", "lm_intermediate=0", "vocab_size=10", "max_tokens=0",
    "prompt_states=5", "prompt_from_head=2", "warmup_studies=0", "warmup_vision_steps=-1", "warmup_prompt_steps=-1",
    "warmup_steps=-1", "warmup_lr=-1", "warmup_batch=0",
    "tuning.kind=half", "tuning.rank=0", "alpha=0", "alpha=inf", "targets=",
    "codec.kind=zip", "codec.rank=0",
    "on_bad=ignore", "small=drop", "deal=0",
    "actors=-1", "actors=600", "gpus_per_actor=-1", "gpus_per_actor=2", "object_store_mb=1", "wait_s=0", "wait_s=nan",
    "device=tpu", "precision=fp16", "keep_checkpoints=-1", "keep_checkpoints=0",
    "parts=", "parts=train", "evaluate.batch_size=0", "labeler=gpt", "resamples=-5",
    "kd_g2l=-1", "kd_l2g=-1", "tau=0", "temperature=0", "lambda_inter=-1", "lambda_intra=-1", "prototype_decay=2",
    "dx_weight=-4", "contrastive_decoding=11", "aggregation=mean",
]  # fmt: skip


@pytest.mark.parametrize("override", OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_in_one_line_that_names_it(override: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings.load("fedmrg", overrides=[override])
    (line,) = str(refused.value).splitlines()
    assert override.partition("=")[0].rpartition(".")[2] in line


def test_every_number_among_the_settings_has_a_range() -> None:
    table = settings.load("fedmrg").table()
    numbers = {f"{s}.{k}" for s, part in table.items() for k, v in part.items() if type(v) in (int, float)}
    unbounded = set()
    for name in numbers:
        try:
            settings.load("fedmrg", overrides=[f"{name}=-1000"])
            unbounded.add(name)
        except ConfigError:
            pass
    assert not unbounded


def test_the_extremes_that_mean_something_are_allowed() -> None:
    config = settings.load("fedmrg", overrides=["kd_g2l=0", "prototype_decay=0", "resamples=0", "clip_norm=0", "lr=0"])
    assert config.train.lr == 0.0
    assert config.evaluate.resamples == 0


def test_later_layers_win_and_every_section_has_its_type() -> None:
    config = settings.load("fedlora", "phantom/ci", seed=3, overrides=["train.rounds=7", "alpha=8", "targets=[q_proj]"])
    assert (config.run.split, config.run.seed, config.train.rounds) == ("phantom/ci", 3, 7)
    assert config.tuning == config.algorithm.tuning
    assert (config.tuning.kind, config.tuning.alpha, config.tuning.targets) == ("lora", 8.0, ("q_proj",))
    assert replace(config, pool=replace(config.pool, actors=0)).hash() == config.hash()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("rounds", "takes k=v"),
        ("rank=4", "tuning.rank or codec.rank"),
        ("train.ruonds=3", "Did you mean 'rounds'"),
        ("mu=1", "'mu' is a setting of fedprox"),
        ("oracle=1", "Allowed: false, true"),
        ("rounds=2.5", "a whole number"),
    ],
)
def test_a_wrong_override_says_what_is_right(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        settings.load("fedavg", overrides=[override])


@pytest.mark.parametrize(("split", "longest"), [("iu_xray/r2gen", 60), ("mimic_cxr/group", 100), ("phantom/ci", 0)])
def test_a_preset_bounds_reports_by_data_set(split: str, longest: int) -> None:
    assert settings.load("fedmrg", split, "paper").generation.max_new_tokens == longest


def test_a_list_that_is_empty_by_default_is_set_stored_and_read() -> None:
    config = settings.load("flora", overrides=["ranks=[2,4]"])
    assert config.algorithm.ranks == (2, 4)  # type: ignore[attr-defined]
    for stored in (config, settings.load("flora")):
        assert settings.from_dict(json.loads(json.dumps(stored.as_dict()))) == stored


def test_a_stored_configuration_of_another_version_or_damaged_is_refused() -> None:
    stored = json.loads(json.dumps(settings.load("fedavg").as_dict()))
    older = {**stored, "train": {k: v for k, v in stored["train"].items() if k != "clip_norm"}}
    newer = {**stored, "train": {**stored["train"], "momentum": 0.9}}
    wrong = {**stored, "train": {**stored["train"], "rounds": "many"}}
    less = {k: v for k, v in stored.items() if k != "train"}
    cases = ((older, "older than .* train.clip_norm"), (newer, "momentum"), (wrong, "many"), (less, "train"))
    for damaged, said in cases:
        with pytest.raises(ConfigError, match=said):
            settings.from_dict(damaged)


def test_faults_and_policies_have_ranges_too() -> None:
    for wrong in ({"deadline_s": float("nan")}, {"over_selection": -1.0}, {"on_failure": "ignore"}):
        with pytest.raises(ConfigError):
            Policy(**wrong)
    for wrong in ({"rounds": ()}, {"times": -1}, {"seconds": float("inf")}, {"value": "zero"}, {"kind": "fire"}):
        with pytest.raises(ConfigError):
            Fault(**{"kind": "client_error", "rounds": (0,), "client": "h01", **wrong})


@pytest.mark.parametrize("override", ["rounds=" + "9" * 5000, "split" + "x" * 5000 + "=1", "y" * 5000])
def test_a_long_value_is_shortened_in_the_message(override: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings.load("fedavg", overrides=[override])
    assert len(str(refused.value)) < 1500


def test_a_whole_number_beyond_floats_is_compared_exactly() -> None:
    in_range("large", 10**400, 0)
    with pytest.raises(ConfigError, match="0 to 1"):
        in_range("large", 10**400, 0, 1)


@pytest.mark.parametrize(
    "text",
    [
        "fault = 3", "fault = 'x'", "policy = 3", "[[fault]]\nkind = 'client_error'\nrounds = [true]\nclient = 'h01'",
        "[policy]\ndeadline_s = nan", "x = " + "[" * 5000 + "]" * 5000, "x = 1" + "0" * 5000, "\x00",
    ],
)  # fmt: skip
def test_a_damaged_fault_file_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_table(path)
    assert len(str(refused.value).splitlines()) == 1
