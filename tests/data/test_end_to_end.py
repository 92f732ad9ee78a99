"""`fedmrg bench --data DIR` on trees in the layouts that people have, from the command line to the stored result, and
what of a credentialed source's text is left anywhere afterwards: nothing."""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rendered import kaggle_root
from trees import Tree, own_folder

from benchmark import cli
from benchmark.commands import bench as run
from benchmark.run.options import Options
from fedmrg_core.data.splits import split_file
from tests.toy import SMALL

MARK = "zebra"
"""A word that is in every report of the made-up credentialed source."""


@pytest.fixture
def bench(toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """`fedmrg bench ..` with a toy model; returns its result."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    which = shutil.which  # without Java: METEOR takes longer than all else
    monkeypatch.setattr(shutil, "which", lambda name, *more: None if name == "java" else which(name, *more))
    monkeypatch.setattr(run, "Options", functools.partial(Options, runs=tmp_path / "runs", cache=toy_cache))

    def start(algo: str, data: Path, *more: str) -> dict[str, Any]:
        before = set((tmp_path / "runs").glob("*"))
        given = ["--algo", algo, "--data", str(data), "--quiet", *more, "--set", *SMALL, "train.rounds=1"]
        assert cli.main(["bench", *given]) == 0
        (folder,) = set((tmp_path / "runs").glob("*")) - before
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
        return {**result, "folder": folder}

    return start


@pytest.fixture(scope="module")
def mimic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mimic") / "root"
    root.mkdir()
    tree = Tree(root)
    for at in range(170):
        report = f" FINDINGS: The {MARK} sign is seen at level {at}. No pleural effusion."
        tree.add(10000000 + at, 50000000 + at, ["PA"], report=report)
    return tree.write(zipped=True)


def test_iu_xrays_real_text_on_rendered_films(
    shared_data: Path, tmp_path: Path, bench: Callable[..., dict[str, Any]]
) -> None:
    split = split_file.load("iu_xray/ci")
    ids = split_file.listed(split, split.draws[0]).ids()
    root = kaggle_root(shared_data / "iu_xray", tmp_path / "iu", ids, 32)
    result = bench("fedmrg", root, "--split", "iu_xray/ci")
    assert result["status"] == "finished"
    assert result["split"] == "iu_xray/ci"
    assert result["provenance"]["split_sha256"] == split.draws[0].sha256
    assert {"test/personal/bleu4", "test/global/ce_f1_micro14", "unseen/global/rougeL"} <= set(result["scores"])
    written = pd.read_parquet(result["folder"] / "generations.parquet")
    assert (written["reference"].str.len() > 0).all()


def texts(folder: Path) -> str:
    """The text of every file below a folder, tables unpacked."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    tables = [pd.read_parquet(path).to_csv() for path in files if path.suffix == ".parquet"]
    return "".join([*tables, *(path.read_bytes().decode("latin-1") for path in files)])


@pytest.mark.parametrize("algo", ["fedmrg", "random_train"])  # the second one's replies are training reports
def test_a_credentialed_sources_text_is_left_nowhere(
    mimic: Path, tmp_path: Path, bench: Callable[..., dict[str, Any]], algo: str
) -> None:
    result = bench(algo, mimic, "--split", "mimic_cxr/ci")
    assert result["status"] == "finished"
    assert result["scores"]["test/global/bleu4"]["n"] == 24
    written = pd.read_parquet(result["folder"] / "generations.parquet")
    assert set(written["reference"]) == set(written["hypothesis"]) == {""}
    assert written["study_id"].str.fullmatch("study-[0-9a-f]{20}").all()
    (logged,) = [path for path in tmp_path.rglob("generations.parquet") if result["folder"] not in path.parents]
    assert set(pd.read_parquet(logged)["reference"]) == {""}
    left = texts(tmp_path)
    assert MARK not in left
    assert not re.search(r"\b[ps]?[15]0000\d{3}\b", left)  # ids of patients and studies


def test_a_private_folders_text_is_left_nowhere_but_in_it(
    tmp_path: Path, bench: Callable[..., dict[str, Any]]
) -> None:
    root = own_folder(tmp_path / "own", "report", (f"The {MARK} sign is seen at level {at}." for at in range(40)))
    result = bench("random_train", root, "--set", "private=true", "deal=2")
    (root / "manifest.csv").unlink()
    assert result["scores"]["test/global/bleu4"]["n"] > 0
    assert MARK not in texts(tmp_path)


def test_allow_text_lets_it_through_where_the_agreement_does(mimic: Path, bench: Callable[..., dict[str, Any]]) -> None:
    result = bench("random_train", mimic, "--split", "mimic_cxr/ci", "--set", "allow_text=true")
    written = pd.read_parquet(result["folder"] / "generations.parquet")
    assert written["reference"].str.contains(MARK).all()


def test_the_split_may_be_left_to_the_data(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "--algo", "constant", "--data", str(shared_data / "iu_xray"), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "indiana_reports.csv, row " in said
    assert "does not exist" in said
    assert "manifest" not in said
