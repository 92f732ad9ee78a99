"""`fedmrg splits` and `fedmrg doctor` on real text, with and without films, and what `dedup=true` does."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rendered import kaggle_root
from trees import Tree, own_folder

from benchmark import cli
from benchmark.commands import splits
from fedmrg_core.data import plan
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.readers.iu_xray import IUXraySource
from fedmrg_core.data.readers.mimic_cxr import MimicSource
from fedmrg_core.data.splits import make, split_file
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.data.splits.duplicates import near_duplicate_groups, overlap
from fedmrg_core.errors import DataError
from fedmrg_core.types import Study

IU = ("iu_xray/group", "iu_xray/arbitrary", "iu_xray/dirichlet", "iu_xray/acquisition", "iu_xray/ci")


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


def test_iu_splits_verify_without_films_in_kaggles_and_openis_layout(
    text: Path, openi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for root in (text, openi):
        assert cli.main(["splits", "verify", *IU, "--data", str(root)]) == 0
        assert capsys.readouterr().out == "".join(f"{name}: verified (1 draw)\n" for name in IU)


def test_films_and_labels_do_not_change_what_a_split_is_verified_by(text: Path, tmp_path: Path, change) -> None:
    root = kaggle_root(text, tmp_path / "iu", ["CXR1"], 16)
    bare, filmed = (IUXraySource(one, change(path=str(one))) for one in (text, root))
    assert make.data_hash(bare) == make.data_hash(filmed) == split_file.load("iu_xray/group").draws[0].data_sha256
    assert bare.fingerprint() != filmed.fingerprint()


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


def test_describe_needs_no_films_and_compares_them_where_they_are(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "CACHE", tmp_path / "cache")
    picture = tmp_path / "split_file.png"
    assert cli.main(["splits", "describe", *IU, "phantom/ci", "--data", str(text), "--png", str(picture)]) == 0
    said = capsys.readouterr().out
    assert said.count("films   not compared: none is here") == len(IU)
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
    assert re.search(r"words +0\.764 bits", said)  # no word in common: the entropy of 2 and 7 words a report
    assert cli.main(["splits", "verify", "manifest"]) == 2


def test_every_layout_trains_on_the_same_studies_and_films(text: Path, openi: Path, tmp_path: Path, change) -> None:
    split = split_file.load("iu_xray/ci")
    ids = split_file.listed(split, split.draws[0]).ids()
    kaggle = kaggle_root(text, tmp_path / "kaggle", ids, 16)
    images = {
        study.study_id: kaggle / study.image
        for study in IUXraySource(kaggle, change(path="")).studies()
        if study.study_id in set(ids)
    }
    (openi / "NLMCXR_png").mkdir()
    r2gen = tmp_path / "r2gen"
    r2gen.mkdir()
    shutil.copy(text / "annotation.json", r2gen)
    for root in (openi, r2gen):
        for study in IUXraySource(root, change(path="")).studies():
            if study.study_id in images:
                (root / study.image).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(images[study.study_id], root / study.image)
    made = [
        prepare(change(path=str(root)), "iu_xray/ci", 0, 16, tmp_path / "cache", None, False)
        for root in (kaggle, openi, r2gen)
    ]
    assert list(made[0].study_ids) == list(made[1].study_ids) == ids
    assert (made[0].images(range(150)) == made[1].images(range(150))).all()
    assert made[0].reports == made[1].reports
    assert made[0].split_sha256 == made[1].split_sha256
    part = [ids.index(one) for one in made[2].study_ids]
    assert 120 < len(part) == 150 - made[2].left_out["split_studies_absent"]
    assert (made[2].images(range(len(part))) == made[0].images(part)).all()


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


def test_dedup_keeps_twins_of_a_manifest_in_one_part(tmp_path: Path, change) -> None:
    for at in range(40):
        Image.fromarray(np.full((9, 9), at, np.uint8)).save(tmp_path / f"{at:02d}.png")
    reports = [f"Line {at // 4} lies here, and nothing else of note is seen today." for at in range(40)]
    rows = [f'{at:02d}.png,"{report}"' for at, report in enumerate(reports)]
    (tmp_path / "manifest.csv").write_text("image,report\n" + "\n".join(rows) + "\n", "utf-8")
    places = []
    for dedup in (False, True):
        data = change(path=str(tmp_path), deal=1, dedup=dedup)
        (hospital,) = prepare(data, "manifest", 0, 8, tmp_path / "cache", None, False).hospitals
        part = {int(row): name for name, rows in hospital.rows.items() for row in rows}
        places.append({(at // 4, part[at]) for at in range(40)})
    assert len(places[0]) > len(places[1]) == 10
    rows = [f"{row},{('train', 'val', 'test')[at % 3]}" for at, row in enumerate(rows)]
    (tmp_path / "manifest.csv").write_text("image,report,split\n" + "\n".join(rows) + "\n", "utf-8")
    with pytest.raises(DataError, match="dedup=true would move studies out of the parts that the data names"):
        prepare(data, "manifest", 0, 8, tmp_path / "cache", None, False)


def test_dedup_goes_before_official_parts(tmp_path: Path, change) -> None:
    tree = Tree(tmp_path)
    for at in range(400):
        part = ("train", "test")[at % 2]
        tree.add(
            10000000 + at,
            50000000 + at,
            ["PA"],
            report=f" FINDINGS: Line {at // 2 if at < 100 else at} lies here.",
            part=part,
        )
    source = MimicSource(tree.write(), change(path=str(tmp_path)))
    studies, recipe = source.studies(), split_file.load("mimic_cxr/arbitrary").recipe
    groups = near_duplicate_groups([study.report for study in studies])
    official, apart = (split_file.assign(recipe, studies, {}, 0, given) for given in (None, groups))
    part = {study.study_id: study.part for study in studies}
    for name, parts in official.hospitals.items():
        assert name in official.unseen or all(part[one] == key for key, ids in parts.items() for one in ids)
    assert overlap(official, studies, groups)["test_verbatim"] > 0
    assert overlap(apart, studies, groups)["test_near"] == 0


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
    page = (split_file.SPLITS.parent / "docs" / "data.md").read_text("utf-8")
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
