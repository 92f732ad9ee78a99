"""Preparing and opening a federation: what it holds, what is cached, what is resumed, what is refused."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedmrg_core.data import plan
from fedmrg_core.data.cache import films
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.splits import make, split_file
from fedmrg_core.errors import ConfigError, DataError


@pytest.fixture
def made(fake, tmp_path, monkeypatch):
    """Split files of the fake source in a folder of their own."""
    root = tmp_path / "splits"
    root.mkdir()
    (root / "recipes.toml").write_text((split_file.SPLITS / "recipes.toml").read_text("utf-8"), "utf-8")
    for name in ("phantom/group", "phantom/arbitrary"):
        split_file.save(make.make(name, lambda dataset, seed, knobs: fake, root), root)
    monkeypatch.setattr(plan, "SPLITS", root)
    return root


def ready(settings, cache, split="phantom/group", seed=0, size=8, clients=None) -> Federation:
    return prepare(settings, split, seed, size, Path(cache), clients, False)


def test_rows_films_reports_and_labels_belong_together(made, fake, settings, tmp_path):
    federation = ready(settings, tmp_path)
    studies = {study.study_id: study for study in fake.studies()}
    assert [hospital.name for hospital in federation.hospitals] == ["h01", "h02", "h03", "h04", "h05", "h06", "h07"]
    assert [hospital.name for hospital in federation.hospitals if not hospital.seen] == ["h06", "h07"]
    rows = np.concatenate([rows for hospital in federation.hospitals for rows in hospital.rows.values()])
    assert sorted(rows.tolist()) == list(range(len(federation))) == list(range(320))
    for hospital in federation.hospitals:
        for part in hospital.rows.values():
            ids = [federation.study_ids[row] for row in part]
            assert ids == sorted(ids)
            assert part.dtype == np.int64
            taken = federation.images(part)
            for at, row in enumerate(part):
                study = studies[federation.study_ids[row]]
                assert study.hospital == hospital.name
                assert federation.reports[row] == study.report
                assert federation.patient_ids[row] == study.patient_id
                assert federation.labels[row].tolist() == list(study.labels)
                assert (taken[at] == int(study.study_id[-4:]) % 251).all()


def test_films_may_be_written_to_by_their_taker(made, settings, tmp_path):
    federation = ready(settings, tmp_path)
    federation.images([0, 1, 2])[:] = 7
    assert (federation.images([0, 1, 2])[2] == 2).all()
    with pytest.raises(IndexError):
        federation.images([320])


def test_second_time_nothing_is_decoded_and_splits_share_films(made, fake, settings, tmp_path):
    first = ready(settings, tmp_path)
    assert sorted(fake.decoded) == sorted(study.study_id for study in fake.studies())
    again, dealt = ready(settings, tmp_path), ready(settings, tmp_path, "phantom/arbitrary")
    assert len(fake.decoded) == 320
    assert first.directory == again.directory != dealt.directory
    assert first.split_sha256 != dealt.split_sha256
    assert first.data_sha256 == dealt.data_sha256
    assert ready(settings, tmp_path, size=16).directory != first.directory


def test_an_interrupted_build_goes_on_where_it_stopped(made, fake, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(films, "SHARD_FILMS", 64)
    image, calls = fake.image, []

    def dies(study, size):
        calls.append(study.study_id)
        if len(calls) > 150:
            raise KeyboardInterrupt
        return image(study, size)

    monkeypatch.setattr(fake, "image", dies)
    with pytest.raises(KeyboardInterrupt):
        ready(settings, tmp_path)
    assert not list(tmp_path.glob("**/*.tmp"))
    monkeypatch.setattr(fake, "image", image)
    fake.decoded.clear()
    assert len(ready(settings, tmp_path)) == 320
    assert len(fake.decoded) == 320 - 2 * 64


def test_opening_is_by_directory_and_imports_nothing_heavy(made, settings, tmp_path):
    federation = ready(settings, tmp_path)
    assert pickle.loads(pickle.dumps(federation)).study_ids == federation.study_ids
    program = (
        "import sys; from fedmrg_core.data.cache.federation import Federation; f = Federation.open(sys.argv[1]);"
        "f.images([3]); print(f.reports[3], sorted({'torch', 'datasets', 'pandas', 'ray'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program, str(federation.directory)], capture_output=True, text=True, check=True
    ).stdout
    assert out == "Report 3 of h01. []\n"


def test_shards_open_with_datasets(made, settings, tmp_path):
    from datasets import Dataset

    federation = ready(settings, tmp_path)
    shard = next((tmp_path / "films-8").glob("*.arrow"))
    whole = Dataset.from_file(str(shard))
    assert whole.num_rows == 320
    assert whole[5]["film"] == federation.images([5])[0].tobytes()


def test_an_unreadable_film_stops_or_is_counted(made, fake, settings, change, tmp_path):
    fake.broken = ("h01-0004", "h06-0001")
    with pytest.raises(DataError, match=r"fake.csv, row 7: .*h01-0004 is torn \(and 1 more films: 'h06-0001'\)"):
        ready(settings, tmp_path)
    federation = ready(change(on_bad="skip"), tmp_path)
    assert federation.left_out == {"bad_image": 2}
    used = {federation.study_ids[row] for h in federation.hospitals for rows in h.rows.values() for row in rows}
    assert len(used) == 318
    assert not used & set(fake.broken)


def test_clients_keeps_the_first_seen_hospitals_and_the_unseen(made, settings, tmp_path):
    whole, federation = ready(settings, tmp_path), ready(settings, tmp_path, clients=2)
    assert [hospital.name for hospital in federation.hospitals] == ["h01", "h02", "h06", "h07"]
    assert federation.split_sha256 != whole.split_sha256
    with pytest.raises(ConfigError, match="clients=6: the split has 5 seen hospitals"):
        ready(settings, tmp_path, clients=6)


def test_a_changed_source_is_refused_by_part(made, fake, settings, tmp_path):
    fake.generated = True  # of which no ids are listed, so that its recipe runs again
    split_file.save(make.make("phantom/group", lambda dataset, seed, knobs: fake, made), made)
    fake.sizes["h02"] = 62
    with pytest.raises(DataError, match=r"phantom/group \(version 1, draw 4\).*: h02/.* differ") as error:
        ready(settings, tmp_path, seed=4)
    assert "h01/" not in str(error.value)


def test_listed_ids_are_used_as_they_stand(made, fake, settings, tmp_path):
    fake.sizes |= {"h02": 62, "h03": 48}
    with pytest.raises(DataError, match=r"the data lacks 2 studies: h03/\w+ \(2\); first: 'h03-0048'"):
        ready(settings, tmp_path)
    fake.sizes["h03"] = 50
    federation = ready(settings, tmp_path)
    assert len(federation) == 320
    assert federation.left_out == {"not_in_split": 2}
    path = made / "phantom" / "group.json"
    path.write_text(path.read_text("utf-8").replace('"h01-0004"', '"h01-0005"'), "utf-8")
    with pytest.raises(DataError, match="do not match the file's own hash"):
        ready(settings, tmp_path)


def test_a_damaged_folder_says_so(made, settings, tmp_path):
    federation = ready(settings, tmp_path)
    (federation.directory / "texts.arrow").write_bytes(b"no")
    with pytest.raises(DataError, match="delete it and run again"):
        Federation.open(federation.directory)
    with pytest.raises(DataError, match="not a prepared federation"):
        Federation.open(tmp_path)
