"""A small made-up source and settings that the tests of this folder share."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from trees import SETTINGS

from fedmrg_core.data import catalogue
from fedmrg_core.data.config import DataConfig
from fedmrg_core.errors import DataError
from fedmrg_core.types import Study


@dataclass
class FakeSource:
    """Two studies per patient; the film of study i is filled with i % 251. Ids in `broken` have no readable film."""

    sizes: dict[str, int]
    broken: tuple[str, ...] = ()
    name: str = "fake"
    version: str = "1"
    credentialed: bool = False
    partial: bool = False
    generated: bool = False
    left_out: dict[str, int] = field(default_factory=dict)
    decoded: list[str] = field(default_factory=list)

    def studies(self) -> list[Study]:
        found = []
        for hospital, size in self.sizes.items():
            for at in range(size):
                name = f"{hospital}-{at:04d}"
                states = tuple(int(at % 3 == k % 3) for k in range(14))
                found.append(
                    Study(name, f"{hospital}-p{at // 2}", name, f"Report {at} of {hospital}.", states, hospital)
                )
        return sorted(found, key=lambda study: study.study_id)

    def image(self, study: Study, size: int) -> np.ndarray:
        self.decoded.append(study.study_id)
        if study.study_id in self.broken:
            raise DataError(f"the film of {study.study_id} is torn", "fake.csv", 7)
        return np.full((size, size), int(study.study_id[-4:]) % 251, np.uint8)

    def has_films(self) -> bool:
        return True

    def fingerprint(self) -> str:
        return "f" * 64


@pytest.fixture
def settings() -> DataConfig:
    return SETTINGS


@pytest.fixture
def change():
    """Settings with some changed: change(on_bad="skip")."""
    return lambda **kwargs: replace(SETTINGS, **kwargs)


@pytest.fixture
def fake(monkeypatch) -> FakeSource:
    """A source under the name `phantom`, with the phantom's hospitals, for every draw."""
    source = FakeSource({"h01": 90, "h02": 60, "h03": 50, "h04": 30, "h05": 20, "h06": 40, "h07": 30})
    known = catalogue.get("phantom")
    monkeypatch.setitem(catalogue.REGISTRY, "phantom", replace(known, open=lambda data, seed: source))
    return source


@pytest.fixture(scope="module")
def text(shared_data: Path) -> Path:
    """IU X-ray's real text in Kaggle's layout, without films."""
    return shared_data / "iu_xray"


@pytest.fixture
def openi(text: Path, tmp_path: Path) -> Path:
    """The same text in Open-i's layout."""
    (tmp_path / "openi" / "ecgen-radiology").mkdir(parents=True)
    for name in ("indiana_projections.csv", "acquisition.csv"):
        shutil.copy(text / name, tmp_path / "openi" / name)
    with (text / "indiana_reports.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            escaped = row["findings"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            codes = "".join(f"<major>{code.replace('&', '&amp;')}</major>" for code in row["Problems"].split(";"))
            (tmp_path / "openi" / "ecgen-radiology" / f"{row['uid']}.xml").write_text(
                f'<eCitation><IUXRId id="{row["uid"]}"/><AbstractText Label="FINDINGS">{escaped}</AbstractText>'
                f"{codes}</eCitation>",
                "utf-8",
            )
    return tmp_path / "openi"
