"""What of a run leaves it: text and parameters of open data only."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.run import mirror, samples
from fedmrg_core.runfolder import GENERATIONS


def federation(name: str = "phantom", credentialed: bool = False) -> Any:
    films = np.arange(40 * 4, dtype=np.uint8).reshape(40, 2, 2)
    ids = [f"s{row}" for row in range(40)]
    return SimpleNamespace(name=name, credentialed=credentialed, study_ids=ids, frontal=lambda rows: films[rows])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        {"study_id": f"s{row}", "hospital": "h1", "part": "test", "view": view, "reference": f"r{row}"}
        for row in range(30)
        for view in ("global", "personal")
    ]
    table = pd.DataFrame(rows).assign(hypothesis=[f"{row['view']} {row['reference']}" for row in rows])
    table.to_parquet(tmp_path / GENERATIONS)
    return tmp_path


def test_samples_are_the_same_few_studies_in_the_view_that_leads(folder: Path) -> None:
    found = samples.samples(folder, federation())
    assert len(found["study"]) == len(set(found["study"])) == samples.COUNT
    columns = (found[key] for key in ("study", "text", "reference", "film"))
    for study, text, reference, film in zip(*columns, strict=True):
        row = int(study[1:])
        assert (text, reference, film[0, 0]) == (f"personal r{row}", f"r{row}", 4 * row)
    assert samples.samples(folder, federation())["study"] == found["study"]


@pytest.mark.parametrize("closed", [federation("mimic_cxr"), federation("manifest"), federation(credentialed=True)])
def test_nothing_of_other_data_leaves(folder: Path, closed: Any) -> None:
    assert samples.samples(folder, closed) == {}
    assert not mirror._model(folder, lambda: closed, lambda target: pytest.fail("it was exported"), folder)
