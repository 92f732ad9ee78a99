"""What of a run may leave it only where the data is open to everybody: sample reports, and trained parameters."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmrg_core.errors import DataError
from fedmrg_core.runfolder import CHECKPOINTS, CONFIG, GENERATIONS, read_json

if TYPE_CHECKING:
    from fedmrg_core.data.cache.federation import Federation

OPEN = ("phantom", "iu_xray")
"""Data sets whose text anybody may read. No others are shown, whatever their settings say."""
COUNT = 16
MOST_BYTES = 64 * 2**20
"""Of a logged model: a fully tuned large one stays in the run's folder."""


def is_open(federation: Federation) -> bool:
    """Whether reports and parameters may be shown to anybody."""
    return federation.name in OPEN and not federation.credentialed


def samples(folder: Path, federation: Federation) -> dict[str, list[Any]]:
    """Columns study, text, reference, film (uint8 [size, size]) and hospital, of the same few studies for every run on
    the same data; none unless the data is open."""
    import pandas as pd

    path = folder / GENERATIONS
    if not is_open(federation) or not path.exists():
        return {}
    table = pd.read_parquet(path, columns=["study_id", "hospital", "part", "view", "reference", "hypothesis"])
    leads = ((table["part"] != "unseen") & (table["view"] == "personal")) | (table["part"] == "unseen")
    table = table[leads].drop_duplicates("study_id")
    order = table["study_id"].map(lambda study: hashlib.sha256(str(study).encode()).hexdigest())
    table = table.loc[order.sort_values().index[:COUNT]]
    rows = {study: row for row, study in enumerate(federation.study_ids)}
    known = [study in rows for study in table["study_id"]]
    table = table[known]
    films = [federation.frontal([rows[study]])[0] for study in table["study_id"]]
    return {
        "study": list(table["study_id"]),
        "text": list(table["hypothesis"]),
        "reference": list(table["reference"]),
        "film": films,
        "hospital": list(table["hospital"]),
    }


def write_shared(folder: Path, target: Path) -> bool:
    """The shared parameters of a run's last checkpoint as safetensors: LoRA factors where it has them, else all that
    travels. Clients' private states are left out. False if there are none, or they are too large to copy."""
    from safetensors.torch import save_file

    from fedmrg_core.engine import checkpoint

    try:
        found = checkpoint.load(folder / CHECKPOINTS)
    except DataError:
        return False
    params = found[0].params if found else {}
    params = {name: value for name, value in params.items() if "lora_" in name} or params
    if not params or sum(value.nbytes for value in params.values()) > MOST_BYTES:
        return False
    save_file({name: value.contiguous().clone() for name, value in params.items()}, target / "shared.safetensors")
    config = read_json(folder / CONFIG)
    (target / CONFIG).write_text(json.dumps({key: config.get(key) for key in ("name", "method", "model", "tuning")}))
    return True
