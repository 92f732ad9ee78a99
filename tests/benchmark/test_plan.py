"""`fedmrg plan`: sizes without weights, bytes, memory and a probe. tests/algorithms/test_contract.py compares its bytes
with the ledger's, for every algorithm.
"""

from __future__ import annotations

import json

import pytest

from benchmark import cli
from benchmark.run import settings
from benchmark.run.plan import activation_bytes, build_shape
from tests.toy import SMALL, toy_config


@pytest.mark.parametrize(
    ("algo", "kind", "sent"),
    [
        ("fedmrg", "lora", 59_412_600),
        pytest.param("fedlora", "lora", 59_281_472, marks=pytest.mark.slow),
        pytest.param("fedlora", "frozen", 50_892_864, marks=pytest.mark.slow),
    ],
)
def test_at_the_papers_scale_so_many_parameters_travel(algo: str, kind: str, sent: int) -> None:
    """A ResNet-101, Linear(2048, 4096), and LoRA of rank 16 on q and v of a LLaMA-2-7B: 42,500,160 + 8,392,704
    + 32 layers x 2 matrices x 16 x (4096 + 4096); FedMRG also the head of 14 x 4 classes and 4 prompts."""
    config = settings.load(algo, preset="paper", overrides=[f"tuning.kind={kind}"])
    model = build_shape(config)
    trained = model.trainable()
    assert sum(trained[name].numel() for name in config.algorithm.shared_names(model, trained)) == sent
    assert sum(p.numel() for n, p in model.lm.named_parameters() if ".lora_" not in n) == 6_738_415_616


def test_activations_grow_with_the_batch_and_shrink_with_checkpointing() -> None:
    config = toy_config("fedmrg", "lm_layers=3")
    one, two, less = (activation_bytes(build_shape(config), *how) for how in ((1, False), (2, False), (1, True)))
    assert two == 2 * one
    assert 0 < less < one


def test_the_command_says_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--algo", "fedmrg", "--clients", "4", "--studies", "20", "--rounds", "3", "--set", *SMALL[1:10]]
    assert cli.main([*words, "local_steps=0", "train.batch_size=8", "participation=0.5", "actors=2"]) == 0
    shown = capsys.readouterr().out
    for said in ("4 hospitals, 2 per round, 3 rounds of 3 steps", "later round", "100 Mbit/s", "GB (float32", "probe"):
        assert said in shown
    assert cli.main([*words, "--no-probe", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    later = plan["bytes_per_client"]["later_rounds"]
    assert later["download"] > plan["bytes_per_client"]["first_round"]["download"]  # prototypes
    assert later["upload"] >= 4 * plan["parameters_sent"]
    assert plan["step_s"] is None


def test_what_cannot_be_planned_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--algo", "constant"]) == 2
    assert "trains nothing" in capsys.readouterr().err
    assert cli.main(["plan", "--clients", "0"]) == 2
