"""Codes for the ids of private and credentialed sources: stable within a cache, unlinkable without its key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trees import own_folder

from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.private_ids import KEY_FILE, private_ids, private_key
from fedmrg_core.errors import DataError


def test_codes_are_distinct_stable_and_of_one_key() -> None:
    ids = [f"p{at}" for at in range(1000)]
    codes = private_ids(ids, "patient", b"k" * 32)
    assert len(set(codes)) == 1000
    assert all(re.fullmatch("patient-[0-9a-f]{20}", code) for code in codes)
    assert codes == private_ids(ids, "patient", b"k" * 32)
    assert not set(codes) & set(private_ids(ids, "patient", b"j" * 32))
    assert not {code[-20:] for code in codes} & {code[-20:] for code in private_ids(ids, "study", b"k" * 32)}


def test_the_key_is_its_owners_and_is_made_once(tmp_path: Path) -> None:
    key = private_key(tmp_path / "cache")
    assert len(key) == 32
    assert key == private_key(tmp_path / "cache")
    assert oct((tmp_path / "cache" / KEY_FILE).stat().st_mode)[-3:] == "600"
    assert key != private_key(tmp_path / "other")
    (tmp_path / "cache" / KEY_FILE).write_bytes(b"short")
    with pytest.raises(DataError, match="holds 5 bytes, not 32"):
        private_key(tmp_path / "cache")


def test_a_private_federation_knows_codes_only(tmp_path: Path, change) -> None:
    rows = (f"Clear lungs {at}.,{'ab'[at // 20]},smith{at // 2}" for at in range(40))
    root = own_folder(tmp_path / "own", "report,hospital,patient", rows)

    def ready(cache: str, private: bool):
        return prepare(change(path=str(root), private=private), "manifest", 0, 8, tmp_path / cache, None, False)

    open_, coded, again, elsewhere = ready("c", False), ready("c", True), ready("c", True), ready("d", True)
    assert list(open_.patient_ids)[5].startswith("smith")
    assert all(code.startswith("patient-") for code in coded.patient_ids)
    assert all(code.startswith("study-") for code in coded.study_ids)
    assert len(set(coded.patient_ids)) == 20
    assert list(coded.reports) == list(open_.reports)
    assert list(coded.study_ids) == list(again.study_ids) != list(elsewhere.study_ids)
    assert coded.data_sha256 == open_.data_sha256
    assert coded.split_sha256 == open_.split_sha256
    for path in (tmp_path / "d" / "federations").rglob("*"):
        assert path.is_dir() or b"smith" not in path.read_bytes()
    assert not coded.directory.stat().st_mode & 0o077
