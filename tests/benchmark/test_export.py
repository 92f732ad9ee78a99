"""`fedmrg export` and `fedmrg report`, on runs whose files these tests make without training."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmark import cli
from benchmark.run import stages
from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.base_cache import check_base
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.messages import GenerateTask, server_payload
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.exported import load_exported
from fedmrg_core.models.relevance import on_grid
from fedmrg_core.runfolder import CHECKPOINTS, CONFIG, RunFolder
from fedmrg_core.types import State
from tests.toy import toy_config, toy_spec

ROWS = (0, 1, 2, 3)


@dataclass(frozen=True)
class Made:
    """A finished run in `runs`, and a worker that can generate with its state."""

    worker: Worker
    server: ServerState
    store: ClientStore
    runs: Path
    run_id: str

    def reports(self, hospital: str) -> list[str]:
        private = self.store.get(hospital) if hospital else None
        task = GenerateTask(ROWS, private, client_id=hospital, round=self.server.round)
        return self.worker.generate(task, pack(server_payload(self.server))).reports

    def call(self, *words: object) -> int:
        return cli.main([*map(str, words), "--runs", str(self.runs)])


def moved(state: State, seed: int) -> State:
    """The state as training might leave it: adapters and connector say something."""
    draw = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(tensor.shape, generator=draw) * 0.3 if ".lora_B." in name or "connector" in name else tensor
        for name, tensor in state.items()
    }


@pytest.fixture(name="make")
def _make(
    toy_cache: Path, tmp_path: Path, make_result: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Made]:
    def make(algo: str, *overrides: str) -> Made:
        spec, config = toy_spec(toy_cache, algo, *overrides), toy_config(algo, *overrides)
        monkeypatch.setattr(stages, "load_base", lambda config, cache: Path(spec.base))
        worker = Worker(spec)
        shared = {name: worker.initial[name] for name in worker.shared_names()}
        server = spec.algorithm.init_server(moved(shared, 0), 3)
        if algo == "flora":
            names = [name for name in shared if ".lora_A." in name]
            server = ServerState(server.params, {"base_change": {name: 0.3 * torch.randn(32, 32) for name in names}}, 1)
        store = ClientStore()
        personal = {name: worker.initial[name] for name in worker.personal_names()}
        store.put("h01", pack({"personal": moved(personal, 1)} if personal else {}))
        folder = RunFolder(tmp_path / "runs" / f"run-{algo}")
        checkpoint.save(folder.path / CHECKPOINTS, server, store)
        provenance = {**make_result()["provenance"], "model_sha256": check_base(Path(spec.base))["sha256"]}
        stored = config.as_dict()
        folder.write_result(make_result(algo, run_id=folder.path.name, config=stored, provenance=provenance))
        (folder.path / CONFIG).write_text(json.dumps(stored))
        return Made(worker, server, store, tmp_path / "runs", folder.path.name)

    return make


@pytest.mark.parametrize(
    ("algo", "hospital", "overrides"),
    [
        ("fedmrg", "h01", ()),
        ("fedmrg", "h01", ("form=stacked", "contrastive_decoding=1.5", "strategy=beam")),
        ("fedavg", "", ("no_repeat_ngram=2",)),
        ("flora", "", ()),
    ],
)
def test_an_exported_model_writes_what_the_run_wrote(
    make: Callable[..., Made], tmp_path: Path, algo: str, hospital: str, overrides: tuple[str, ...]
) -> None:
    made, folder = make(algo, *overrides), tmp_path / "exported"
    expected = made.reports(hospital)
    assert made.call("export", made.run_id, folder, *(["--hospital", hospital] if hospital else [])) == 0
    films = made.worker.images(np.array(ROWS))
    model, settings = load_exported(folder)
    assert model.generate(films, **settings).reports == expected
    if not overrides:
        assert (
            plain(folder, model.read(films, settings["adapters"], None, settings["prompt_weight"]).context) == expected
        )
    assert (folder / "adapter_model.safetensors").exists() == (algo != "fedavg")


def test_lora_of_an_encoder_is_merged(make: Callable[..., Made], tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    vit = ViTModel(ViTConfig(**sizes, image_size=64, patch_size=16, num_channels=1), add_pooling_layer=False)
    vit.save_pretrained(tmp_path / "vit")
    made = make("fedlora", f"encoder={tmp_path / 'vit'}", "encoder_kind=lora")
    assert any(name.startswith("encoder.") and ".lora_B." in name for name in made.server.params)
    expected = made.reports("")
    made.call("export", made.run_id, tmp_path / "exported")
    model, settings = load_exported(tmp_path / "exported")
    assert model.generate(made.worker.images(np.array(ROWS)), **settings).reports == expected


def plain(folder: Path, context: Tensor) -> list[str]:
    """Reports by transformers and peft alone, from what the language model reads."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lm = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder / "language_model"), folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = lm.generate(inputs_embeds=context, attention_mask=torch.ones(context.shape[:2]), max_new_tokens=24)
    return [" ".join(text.split()) for text in tokenizer.batch_decode(tokens, skip_special_tokens=True)]


def test_the_card_has_scores_hashes_and_limits_and_no_report(
    make: Callable[..., Made], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, folder = make("fedmrg"), tmp_path / "out"
    made.call("export", made.run_id, folder)
    card = (folder / "README.md").read_text()
    assert "adapter_config.json" in capsys.readouterr().out
    for said in ("the shared model", "0.500 (0.450 to 0.550)", "data, SHA-256: d0", "2506.17562", "no medical device"):
        assert said in card
    assert "personal" not in card.partition("## Limits")[0]
    assert not any(made.worker.federation.reports[row] in card for row in ROWS)
    code = re.findall(r"```python\n(.*?)```", card, re.DOTALL)[0]
    compile(code, "card", "exec")


def test_report_prints_text_and_findings_and_draws(
    make: Callable[..., Made], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, film, out = make("fedmrg"), tmp_path / "film.png", tmp_path / "picture.png"
    Image.fromarray(made.worker.images(np.array(ROWS[:1]))[0].numpy()).save(film)
    assert made.call("report", made.run_id, film, "--hospital", "h01", "--out", out) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(made.reports("h01")[0])
    assert "not for clinical use" in shown
    assert Image.open(out).size[0] > 500
    assert on_grid(torch.arange(16.0)).shape == (4, 4)
    with pytest.raises(ConfigError, match="no square grid"):
        on_grid(torch.zeros(3, 15))


def test_what_cannot_be_exported_is_refused_in_one_line(
    make: Callable[..., Made], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make("fedmrg")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for words, said in (
        ((made.run_id, tmp_path / "full"), "not an empty folder"),
        ((made.run_id, tmp_path / "new", "--hospital", "h1"), "Did you mean 'h01'"),
        (("run-fedmgr", tmp_path / "new"), "Did you mean 'run-fedmrg'"),
    ):
        assert made.call("export", *words) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
