"""The registry of data sets: the example of the page, detection, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli
from fedmrg_core.data import catalogue
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.catalogue import data_set, data_sets, detect
from fedmrg_core.data.plan import split_name
from fedmrg_core.errors import ConfigError, DataError
from tests.pages import code_block


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's example, registered, and a folder that it reads."""
    monkeypatch.setattr(catalogue, "REGISTRY", dict(data_sets()))
    exec(code_block("adding-a-data-set.md", "python", "@data_set"), {"__name__": "archive"})
    root = tmp_path / "Archive 1"
    (root / "films").mkdir(parents=True)
    lines = ["scan\tperson\tward\ttext"]
    for at in range(41):
        Image.fromarray(np.full((9, 9), at, np.uint8)).save(root / "films" / f"s{at}.png")
        text = f"Small left effusion, line {at}." if at < 40 else "nan"
        lines.append(f"s{at}\tp{at // 2}\t{'north' if at < 20 else 'south'}\t{text}")
    (root / "scans.tsv").write_text("\n".join(lines), "utf-8")
    return root


def test_the_pages_example_is_found_and_prepared(archive: Path, change, tmp_path: Path) -> None:
    federation = prepare(change(path=str(archive)), "phantom/group", 0, 8, tmp_path / "cache", None, False)
    assert federation.split == "archive/archive-1"
    assert federation.name == "archive"
    assert [(h.name, sum(map(len, h.rows.values()))) for h in federation.hospitals] == [("north", 20), ("south", 20)]
    assert federation.left_out == {"labels_by_rules": 40, "no_report": 1}
    assert federation.labels[0][9] == 1
    assert federation.images([3]).mean() == int(federation.study_ids[3][1:])


def test_doctor_names_the_pages_example(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", str(archive)]) == 0
    assert "archive: 40 studies" in capsys.readouterr().out


def test_a_folder_of_two_data_sets_is_refused_but_a_manifest_wins(archive: Path) -> None:
    (archive / "indiana_reports.csv").touch()
    with pytest.raises(DataError, match=r"holds several data sets: archive, iu_xray; give each a folder of its own"):
        detect(archive)
    (archive / "manifest.csv").touch()
    assert detect(archive) == "manifest"


def test_an_unknown_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"looked for .*indiana_reports.csv.*manifest.csv.*metadata.csv"):
        detect(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        detect(tmp_path / "none")


def test_a_name_is_registered_once() -> None:
    data_sets()
    with pytest.raises(ValueError, match="'phantom' is registered twice"):
        data_set("phantom")(lambda data, seed: None)


def test_the_split_fits_the_data_or_is_refused(archive: Path, change) -> None:
    data = change(path=str(archive))
    assert {split_name(name, data) for name in ("manifest", "archive", "phantom/ci", "archive/x")} == {
        "archive/archive-1"
    }
    with pytest.raises(ConfigError, match=r"split 'iu_xray/ci' does not fit the data in .*, which is archive"):
        split_name("iu_xray/ci", data)
    assert split_name("iu_xray/ci", change(path="")) == "iu_xray/ci"
