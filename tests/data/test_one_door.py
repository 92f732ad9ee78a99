"""One text gets the same labels whatever door it comes through: a manifest, `fedmrg label`, or the labeler itself."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli
from fedmrg_core.data.readers.manifest import ManifestSource
from fedmrg_core.metrics.labeler import label
from fedmrg_core.types import CONDITIONS

EFFUSION, PNEUMOTHORAX = CONDITIONS.index("Pleural Effusion"), CONDITIONS.index("Pneumothorax")
STATES = {"": 0, "1": 1, "0": 2, "-1": 3}
TEXTS = [
    "- No pneumothorax\n- Small left pleural effusion",
    "HISTORY: effusion.\nFINDINGS: Small left pleural effusion. No pneumothorax.",
    "There is no\npneumothorax. Small left\npleural effusion.",
    "Small left pleural effusion.\r\nNo pneumothorax.",
    "Small left pleural effusion\u2028No pneumothorax",
    "No  pneumothorax; small left\tpleural effusion",
]


@pytest.fixture(params=["csv", "jsonl"])
def labelled(request: pytest.FixtureRequest, tmp_path: Path) -> list[dict[str, str]]:
    """The rows that `fedmrg label` writes for TEXTS."""
    path = tmp_path / f"t.{request.param}"
    with path.open("w", encoding="utf-8", newline="") as file:
        if request.param == "csv":
            csv.writer(file).writerows([["report"], *([text] for text in TEXTS)])
        else:
            file.writelines(json.dumps({"report": text}) + "\n" for text in TEXTS)
    assert cli.main(["label", str(path), "--out", str(tmp_path / "l.csv")]) == 0
    with (tmp_path / "l.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_door_gives_the_same_labels(labelled: list[dict[str, str]], tmp_path: Path, change) -> None:
    with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["image", "report"], *([f"{at}.png", text] for at, text in enumerate(TEXTS))])
    for at in range(len(TEXTS)):
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / f"{at}.png")
    studies = ManifestSource(tmp_path, change(path=str(tmp_path))).studies()
    for text, study, row in zip(TEXTS, studies, labelled, strict=True):
        assert study.labels == label(text), text
        assert (study.labels[EFFUSION], study.labels[PNEUMOTHORAX]) == (1, 2), text
        read = [STATES[row[name]] for name in CONDITIONS]
        assert read[:-1] == list(study.labels[:-1]), text
