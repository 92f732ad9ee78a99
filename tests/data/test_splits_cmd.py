"""`fedmrg splits verify` and `describe` on real text, with and without films."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rendered import kaggle_root
from trees import own_folder

from benchmark import cli
from benchmark.commands import splits
from fedmrg_core.data.splits import split_file

IU = ("iu_xray/group", "iu_xray/arbitrary", "iu_xray/dirichlet", "iu_xray/acquisition", "iu_xray/ci")


def test_iu_splits_verify_without_films_in_kaggles_and_openis_layout(
    text: Path, openi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for root in (text, openi):
        assert cli.main(["splits", "verify", *IU, "--data", str(root)]) == 0
        assert capsys.readouterr().out == "".join(f"{name}: verified (1 draw)\n" for name in IU)


def test_r2gens_part_is_not_verifiable_and_says_so(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(text / "annotation.json", tmp_path)
    assert cli.main(["splits", "verify", "iu_xray/group", "--data", str(tmp_path)]) == 0
    assert "not verifiable here: R2Gen's part of the data only" in capsys.readouterr().out


def test_credentialed_splits_are_not_verifiable_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name in split_file.names() if name.startswith("mimic")]
    assert cli.main(["splits", "verify", *names]) == 0
    assert capsys.readouterr().out == "".join(f"{name}: not verifiable here: data absent\n" for name in names)


@pytest.mark.slow
def test_describe_needs_no_films_and_compares_them_where_they_are(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "CACHE", tmp_path / "cache")
    picture = tmp_path / "split_file.png"
    assert cli.main(["splits", "describe", *IU, "phantom/ci", "--data", str(text), "--png", str(picture)]) == 0
    said = capsys.readouterr().out
    assert said.count("films   not compared: none found") == len(IU)
    assert "iu_xray/acquisition: 3199 studies, 5 hospitals" in said
    assert "phantom/ci: 150 studies, 4 hospitals" in said
    assert "175 of 586 word for word" in said
    with Image.open(picture) as drawn:
        assert np.asarray(drawn).std() > 10
    split = split_file.load("iu_xray/ci")
    root = kaggle_root(text, tmp_path / "iu", split_file.listed(split, split.draws[0]).ids(), 16)
    assert cli.main(["splits", "describe", "iu_xray/ci", "--data", str(root)]) == 0
    assert re.search(r"films +0\.[1-9]", capsys.readouterr().out)


def test_describe_takes_a_folder_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "CACHE", tmp_path / "cache")
    reports = ("Clear lungs.", "There is an effusion on the left.")
    rows = (f"{reports[at // 20]},{'ab'[at // 20]}" for at in range(40))
    root = own_folder(tmp_path / "root", "report,hospital", rows)
    assert cli.main(["splits", "describe", "manifest", "--data", str(root), "--png", str(tmp_path / "a.png")]) == 0
    said = capsys.readouterr().out
    assert "manifest: 40 studies, 2 hospitals" in said
    assert re.search(r"words +0\.764 bits", said)  # no word in common: the entropy of 2 and 7 words per report
    assert cli.main(["splits", "verify", "manifest"]) == 2


@pytest.mark.parametrize("content", [None, "x = [[[", "[" * 100_000])
def test_missing_and_damaged_recipes_are_one_line(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "recipes.toml").write_text(content)
    assert cli.main(["splits", "verify", "--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "recipes.toml: cannot be read (" in said
    assert said.count("\n") == 1


def test_a_picture_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["splits", "describe", "phantom/ci", "--png", str(tmp_path / "none" / "x.png")]) == 2
    assert "its folder does not exist" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
