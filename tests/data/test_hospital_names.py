"""Hospitals' names as keys: distinct names stay distinct, and every key is a good file, path and metric name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmrg_core.data.hospital_names import HospitalKeys, hospital_key
from fedmrg_core.errors import DataError

SAFE = re.compile(r"[a-z0-9_][a-z0-9._-]{0,66}")


def test_plain_names_keep_their_look() -> None:
    names = ("h01", "eurorad.org", " Nord  1 ", "St_Mary-2", "UKE", "h1.5")
    assert [hospital_key(name) for name in names] == ["h01", "eurorad.org", "nord-1", "st_mary-2", "uke", "h1.5"]
    assert hospital_key("  ") == ""


def test_names_that_only_case_and_blanks_tell_apart_are_one() -> None:
    assert hospital_key("KLINIK  Ä ") == hospital_key("klinik ä") == hospital_key("klinik a\u0308")


@pytest.mark.parametrize(
    "names",
    [
        ("Klinik Ä", "Klinik Ö", "Klinik Ü", "Klinik A", "Klinik"),
        ("北", "南", "?!", "!?", "hospital"),
        ("..", ".", "...", "../..", ".h", "h."),
        ("a/b", "a\\b", "a:b", "a b", "a--b/"),
        ("x" * 230, "x" * 229, "x" * 67, "x" * 61),
        ("merged", "con", "COM1", "St. Mary's", "St. Marys"),
    ],
)
def test_distinct_names_stay_distinct_and_safe(names: tuple[str, ...]) -> None:
    keys = [hospital_key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert all(SAFE.fullmatch(key) for key in keys), keys
    assert not {"merged", "con", "com1"} & set(keys)


@given(st.text(max_size=80))
def test_every_key_is_safe_and_a_key_is_its_own(name: str) -> None:
    key = hospital_key(name)
    assert not key or SAFE.fullmatch(key)
    assert hospital_key(key) == key


def test_two_names_that_would_share_a_key_are_refused() -> None:
    keys = HospitalKeys()
    assert keys("Nord 1") == keys("NORD 1") == "nord-1"
    with pytest.raises(DataError, match="hospitals 'nord 1' and 'nord-1' would both be called 'nord-1'"):
        keys("nord-1")
