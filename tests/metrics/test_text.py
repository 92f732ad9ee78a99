"""The text conventions and the guard in front of every scorer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmrg_core.metrics.text import clean_r2gen, plain


@given(st.text(max_size=80))
def test_plain_leaves_one_line_without_separator_that_utf8_can_hold(text: str) -> None:
    line = plain(text)
    assert len(line.splitlines()) <= 1
    assert "|||" not in line
    assert line == plain(line)
    line.encode("utf-8")


@given(st.text(alphabet="ab .,:1\n\u2028\"-", max_size=60))
def test_cleaned_text_is_tokens_between_single_blanks_and_stays_so(text: str) -> None:
    cleaned = clean_r2gen(text)
    assert cleaned.split(" ") == (cleaned.split() or [""])


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("", ""),
        ("  \n ", ""),
        ("Heart normal.", "heart normal ."),
        ("1. Clear lungs. 2. No effusion..", "clear lungs . no effusion ."),
        ("Well-expanded; 2.5 cm (left)", "well-expanded 25 cm left ."),
        ("the heart is normal . no effusion .", "the heart is normal . no effusion ."),
    ],
)
def test_r2gen_cleaning_of_known_texts(raw: str, cleaned: str) -> None:
    assert clean_r2gen(raw) == cleaned
