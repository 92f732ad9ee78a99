"""Split files: what they hold, what a run refuses, and the counts in the reference page."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from rendered import kaggle_root

from fedmrg_core.data import plan
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.readers.iu_xray import IUXraySource
from fedmrg_core.data.splits import make, split_file
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.errors import DataError
from fedmrg_core.types import Study

IU = ("iu_xray/group", "iu_xray/arbitrary", "iu_xray/dirichlet", "iu_xray/acquisition", "iu_xray/ci")
HETERO = ("hetero-none", "hetero-image", "hetero-text", "hetero-both")


def test_every_split_file_holds_what_it_must() -> None:
    for name in split_file.names():
        raw = json.loads((split_file.SPLITS / f"{name}.json").read_text("utf-8"))
        assert {"version", "recipe", "command", "status", "draws"} <= raw.keys()
        for draw in raw["draws"]:
            assert draw["seed"] >= 0
            if raw["dataset"].startswith("mimic"):
                assert (raw["status"], draw["sha256"], draw["ids"], draw["counts"]) == ("recipe-only", None, None, {})
                continue
            assert re.fullmatch("[0-9a-f]{64}", draw["sha256"])
            assert sum(parts["test"] for parts in draw["counts"].values()) > draw["overlap"]["test_verbatim"] >= 0
            assert (draw["ids"] is None) == (raw["dataset"] == "phantom")


def test_films_and_labels_do_not_change_what_a_split_is_verified_by(text: Path, tmp_path: Path, change) -> None:
    root = kaggle_root(text, tmp_path / "iu", ["CXR1"], 16)
    bare, filmed = (IUXraySource(one, change(path=str(one))) for one in (text, root))
    assert make.data_hash(bare) == make.data_hash(filmed) == split_file.load("iu_xray/group").draws[0].data_sha256
    assert bare.fingerprint() != filmed.fingerprint()


@pytest.mark.parametrize("other", [("h02", "train"), ("h01", "test")])
def test_a_patient_in_two_places_is_refused(other: tuple[str, str]) -> None:
    studies = [Study(f"s{at}", f"p{at}", "", "r", (0,) * 14, "") for at in range(4)]
    studies.append(Study("s4", "p0", "", "r", (0,) * 14, ""))
    rows = [("s0", "h01", "train"), ("s1", "h01", "test"), ("s2", "h02", "train"), ("s3", "h02", "test")]
    with pytest.raises(DataError, match=f"patient 'p0' is in h01/train and in {other[0]}/{other[1]}"):
        Assignment.of([*rows, ("s4", *other)], ()).check(studies)


def test_a_run_refuses_a_split_of_other_data_by_part(text: Path, tmp_path: Path, change, monkeypatch) -> None:
    shutil.copytree(split_file.SPLITS, tmp_path / "splits")
    path = tmp_path / "splits" / "iu_xray" / "ci.json"
    raw = json.loads(path.read_text("utf-8"))
    train, test = (raw["draws"][0]["ids"]["h02"][part] for part in ("train", "test"))
    train[0], test[0] = test[0], train[0]
    path.write_text(json.dumps(raw), "utf-8")
    monkeypatch.setattr(plan, "SPLITS", tmp_path / "splits")
    with pytest.raises(DataError, match="iu_xray/ci: the listed ids of h02/test, h02/train do not match"):
        prepare(change(path=str(text)), "iu_xray/ci", 0, 8, tmp_path / "cache", None, False)


def test_the_page_tells_the_true_counts(text: Path, change) -> None:
    page = (split_file.SPLITS.parent / "docs" / "data-reference.md").read_text("utf-8")
    source = IUXraySource(text, change(path=str(text)))
    used = len(source.studies())
    assert f"| used | | {used:,} |" in page
    for reason, count in source.left_out.items():
        assert re.search(rf"\| `{reason}` \|.*\| {count:,} \|", page), reason
    for name in split_file.names():
        counts = split_file.load(name).draws[0].overlap
        row = " | ".join(
            str(counts[key]) for key in ("test", "test_verbatim", "test_near", "test_verbatim_own") if counts
        )
        assert not counts or re.search(rf"\| `{name}`[^|]*\| {re.escape(row)} \|", page), name
        assert counts or f"`{name.split('/')[1]}`" in page or f"`{name}`" in page


def test_a_split_turns_the_knobs_of_a_generated_data_set(change) -> None:
    """phantom/hetero-*: the same patients in the same hospitals; with both shifts it is phantom/group to the bit."""
    draws = {name: split_file.load(f"phantom/{name}").draws[0] for name in ("group", *HETERO)}
    assert len({draw.sha256 for draw in draws.values()}) == 1
    assert draws["hetero-both"].data_sha256 == draws["group"].data_sha256
    assert len({draws[name].data_sha256 for name in HETERO}) == 4
    for name in HETERO:
        source = plan.plan_for(change(), f"phantom/{name}", 0, None).source
        assert source.fingerprint() == draws[name].data_sha256
