"""What the metric tests share: report pairs of our own, and Java where it is."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fedmrg_core.metrics import java as java_module

ROOT = Path(__file__).resolve().parents[2]

PAIRS = [
    ("The heart is enlarged. Small left pleural effusion.", "The heart is mildly enlarged. No pleural effusion."),
    ("Lungs are clear. No pneumothorax.", "Lungs are clear. No pneumothorax."),
    ("Left lower lobe opacity, possible pneumonia.", "There is a left lower lobe opacity."),
    ("No acute findings. The heart size is normal.", "The lungs are clear. The heart size is normal."),
    ("Right chest tube in place. Small pneumothorax.", "Endotracheal tube in place."),
    ("The heart is enlarged.", "The heart is enlarged. Pulmonary edema."),
]
"""(reference, hypothesis)"""


@pytest.fixture(autouse=True)
def metric_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR's cut paraphrase tables go into the project's own cache folder, not into the user's."""
    monkeypatch.setenv("FEDMRG_CACHE", str(ROOT / ".cache"))


@dataclass(frozen=True)
class Golden:
    """60 real report pairs, and pycocoevalcap's scores of them by text convention."""

    scores: dict[str, Any]
    references: list[str]
    hypotheses: list[str]


@pytest.fixture(scope="session")
def golden(shared_data: Path) -> Golden:
    content = json.loads((shared_data / "golden_nlg" / "golden.json").read_text())
    with (shared_data / "iu_xray" / "indiana_reports.csv").open(encoding="utf-8") as stream:
        findings = {int(row["uid"]): row["findings"] for row in csv.DictReader(stream)}
    return Golden(content, *([findings[pair[side]] for pair in content["pairs"]] for side in (0, 1)))


@pytest.fixture(scope="session")
def java(request: pytest.FixtureRequest) -> str:
    """The java command; skips if Java is absent. METEOR's table is cut once, for the words of all metric tests."""
    found = shutil.which("java")
    if found is None:
        pytest.skip("Java is not installed: METEOR and the PTB tokenizer cannot run")
    texts = [file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("*.py")]
    with suppress(pytest.skip.Exception):
        real: Golden = request.getfixturevalue("golden")
        texts += [*real.references, *real.hypotheses]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDMRG_CACHE", str(ROOT / ".cache"))
        java_module.make_ready(texts)
    return found


@pytest.fixture
def generations() -> pd.DataFrame:
    """Two parts of three hospitals with two or three studies each, one patient twice."""
    hospitals = ["h01", "h01", "h02", "h02", "h03", "h03"]
    rows = [
        {"study_id": f"{part}{i}", "patient_id": f"p{i // 2}" if i < 2 else f"p{i}", "hospital": hospitals[i],
         "part": part, "view": "global", "reference": reference, "hypothesis": hypothesis}
        for part in ("test", "unseen")
        for i, (reference, hypothesis) in enumerate(PAIRS if part == "test" else PAIRS[::-1])
    ]  # fmt: skip
    return pd.DataFrame(rows)


BERT_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "small", "effusion", "no", "heart", "."]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A 2-layer CheXbert as published: a pickle with `model_state_dict`, DataParallel names; with vocab.txt."""
    import torch
    from transformers import BertConfig, BertModel

    from fedmrg_core.metrics import chexbert

    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(BERT_WORDS), hidden_size=64, num_hidden_layers=2, num_attention_heads=1,
                        intermediate_size=32, max_position_embeddings=16)  # fmt: skip
    net = chexbert.CheXbertNet(BertModel(config), 64)
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    state["module.bert.embeddings.position_ids"] = torch.arange(16)[None]  # as transformers of 2020 saved it
    torch.save({"epoch": 3, "model_state_dict": state}, tmp_path / "chexbert.pth")
    (tmp_path / "vocab.txt").write_text("\n".join(BERT_WORDS) + "\n")
    return tmp_path / "chexbert.pth"
