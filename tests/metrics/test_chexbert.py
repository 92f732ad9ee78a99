"""CheXbert from a small checkpoint in the published layout, and from files that must be refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from fedmrg_core.errors import DataError, FedMRGError
from fedmrg_core.metrics import chexbert
from fedmrg_core.metrics import java as java_module
from fedmrg_core.types import CONDITIONS
from tests.metrics.conftest import BERT_WORDS
from tests.toy import toy_config


def test_labels_are_the_heads_argmax_for_the_published_layout(checkpoint: Path) -> None:
    labeler = chexbert.load(checkpoint)
    reports = ["Small effusion.", "no effusion", "Small effusion.", "heart " * 40]
    states = labeler(reports)
    ids = torch.tensor([[2, 5, 6, 9, 3]])  # [CLS] small effusion . [SEP]
    expected = tuple(int(output.argmax()) for output in labeler.net(ids, torch.ones_like(ids)))
    assert states[0] == states[2] == expected
    assert all(len(row) == len(CONDITIONS) and row[-1] in (0, 1) for row in states)
    assert [head.out_features for head in labeler.net.linear_heads] == [4] * 13 + [2]
    assert labeler.version.startswith("chexbert ")


def test_padding_in_a_batch_and_the_file_format_change_no_label(checkpoint: Path) -> None:
    reports = ["small", "no effusion . heart", "effusion no no heart ."]
    together = chexbert.load(checkpoint)(reports)
    tensors = {name: value.clone() for name, value in chexbert.strip_prefixes(chexbert.read_state(checkpoint)).items()}
    save_file(tensors, checkpoint.with_suffix(".safetensors"))
    one_by_one = chexbert.load(checkpoint.with_suffix(".safetensors"), batch=1)
    assert one_by_one(reports) == together


class Trap:
    """Runs code when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.target,))


def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(BERT_WORDS))
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"model_state_dict": Trap(tmp_path / "ran")}))
    with pytest.raises(DataError, match="not a checkpoint that can be read safely"):
        chexbert.load(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_absent_files_and_foreign_tensors_are_named(checkpoint: Path) -> None:
    with pytest.raises(DataError, match=r"none\.pth: not found; CheXbert needs its checkpoint"):
        chexbert.load(checkpoint.parent / "none.pth")
    torch.save({"weight": torch.zeros(2)}, checkpoint.parent / "other.pth")
    with pytest.raises(DataError, match="is not a CheXbert checkpoint: no tensor"):
        chexbert.load(checkpoint.parent / "other.pth")
    torch.save({"model_state_dict": {"a": 1}}, checkpoint.parent / "numbers.pth")
    with pytest.raises(DataError, match="has no state dict"):
        chexbert.load(checkpoint.parent / "numbers.pth")
    (checkpoint.parent / "vocab.txt").unlink()
    with pytest.raises(DataError, match="bert-base-uncased's vocab"):
        chexbert.load(checkpoint)


def test_a_run_is_labelled_by_the_checkpoint_that_its_config_names(
    checkpoint: Path, toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)
    config = toy_config("constant", "labeler=chexbert", f"weights={checkpoint}")
    result = run_experiment(config, Options(quiet=True, runs=tmp_path / "runs", cache=toy_cache, track=False))
    versions = {key: score["version"] for key, score in result["scores"].items() if "/ce_" in key}
    assert set(versions.values()) == {chexbert.load(checkpoint).version}


def test_a_labeler_that_cannot_be_had_is_refused_before_training(tmp_path: Path) -> None:
    options = Options(quiet=True, runs=tmp_path / "runs", cache=tmp_path / "cache", track=False)
    for given, message in (
        (["labeler=chexbert"], "needs its checkpoint: give weights=PATH"),
        (["labeler=chexbert", f"weights={tmp_path}/none.pth"], "not found; CheXbert needs its checkpoint"),
        (["labeler=rule"], "Did you mean 'rules'"),
    ):
        with pytest.raises(FedMRGError, match=message):
            run_experiment(toy_config("fedavg", *given), options)
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_named(checkpoint: Path) -> None:
    (checkpoint.parent / "cut.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(DataError, match=r"cut\.safetensors: is damaged"):
        chexbert.load(checkpoint.parent / "cut.safetensors")
    (checkpoint.parent / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config\.json: is damaged"):
        chexbert.load(checkpoint)
