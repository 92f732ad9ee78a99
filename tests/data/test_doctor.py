"""`fedmrg doctor` on folders of data."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli


@pytest.fixture(scope="module")
def text(shared_data: Path) -> Path:
    """IU X-ray's real text in Kaggle's layout, without films."""
    return shared_data / "iu_xray"


def test_doctor_looks_at_a_folder(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["doctor"]) == 0
    assert re.search(r"(?m)^no  data +no folder given", capsys.readouterr().out)
    assert cli.main(["doctor", str(text)]) == 1
    said = capsys.readouterr().out
    assert re.search(
        r"(?m)^yes data +iu_xray: 3199 studies; counted: frontal_view_only 256, no_findings 514, no_frontal_film 138",
        said,
    )
    assert re.search(r"(?m)^no  films +none is here", said)
    with (tmp_path / "manifest.csv").open("w") as table:
        table.write("image,report\n")
        for at in range(60):
            table.write(f"{at}.png,Clear lungs.\n")
            Image.fromarray(np.full((9, 9), at, np.uint8)).save(tmp_path / f"{at}.png")
    assert cli.main(["doctor", str(tmp_path)]) == 0
    assert f"make bench ALGO=fedmrg DATA={tmp_path}\n" in capsys.readouterr().out
    (tmp_path / "0.png").write_bytes(b"no film")
    assert cli.main(["doctor", str(tmp_path)]) == 1
    assert "manifest.csv, row 2: image '0.png' cannot be read" in capsys.readouterr().out
    (tmp_path / "manifest.csv").write_text("image,report\n0.png,Clear lungs.\n", "utf-8")
    assert cli.main(["doctor", str(tmp_path)]) == 1
    assert "studies" in capsys.readouterr().out
