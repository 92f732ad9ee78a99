"""`fedmrg doctor` on folders of data."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli


def test_doctor_looks_at_a_folder(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["doctor"]) == 0
    assert re.search(r"(?m)^no  data +no folder given", capsys.readouterr().out)
    assert cli.main(["doctor", str(text)]) == 1
    said = capsys.readouterr().out
    assert re.search(
        r"(?m)^yes data +iu_xray: 3199 studies, 7 hospitals, 2 of them unseen; counted: frontal_view_only 256, "
        "no_findings 514, no_frontal_film 138",
        said,
    )
    assert re.search(r"(?m)^no  films +none found", said)
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


def manifest(folder: Path, columns: str, rows: list[str]) -> Path:
    for at in range(len(rows)):
        Image.fromarray(np.full((9, 9), at, np.uint8)).save(folder / f"{at}.png")
    lines = [f"image,report,{columns}", *(f".\\{at}.png,Clear lungs {at}.,{row}" for at, row in enumerate(rows))]
    (folder / "manifest.csv").write_text("\n".join(lines), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        ("hospital,split", [f"a,{('train', 'test')[at % 2]}" for at in range(20)] + ["b,train"] * 20, "no test"),
        ("hospital,split", [f"a,{('train', 'test')[at % 2]}" for at in range(20)] + ["b,test"] * 20, "no train"),
        ("patient,split", [f"p,{('train', 'test')[at % 2]}" for at in range(20)], "patient 'p' is in"),
        ("hospital", ["a"] * 20 + ["b\x1b[31m"] * 5, "has 5 studies"),
    ],
)
def test_doctor_refuses_what_a_run_refuses_in_one_clean_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: str, rows: list[str], message: str
) -> None:
    root = manifest(tmp_path, columns, rows)
    assert cli.main(["doctor", str(root)]) == 1
    said = capsys.readouterr().out
    assert re.search(rf"(?m)^no  data +.*{message}", said)
    assert "\x1b" not in said
    assert cli.main(["bench", "--algo", "constant", "--data", str(root), "--quiet"]) == 2
    refused = capsys.readouterr().err
    assert message in refused
    assert "\x1b" not in refused


def test_doctor_reads_windows_separators_as_a_run_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", str(manifest(tmp_path, "hospital", ["a"] * 20))]) == 0
    assert re.search(r"(?m)^yes films", capsys.readouterr().out)
