"""The one preparation of a report's text: which line breaks are kept, and that twice is as once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmrg_core.metrics.report_text import prepare_report

CASES = [
    ("- No pneumothorax\n- Small left pleural effusion", "- No pneumothorax\n- Small left pleural effusion"),
    ("HISTORY: effusion\r\nFINDINGS: Clear.", "HISTORY: effusion\nFINDINGS: Clear."),
    ("No pneumothorax\nSmall left effusion", "No pneumothorax\nSmall left effusion"),
    ("There is no\n  pleural effusion.", "There is no pleural effusion."),
    ("a\u2028B\x0bC\x85\r\n\r\n\r\nd", "a\nB\nC\n\nd"),
    (" \t one\u00a0 line \n", "one line"),
    ("1. No effusion\n2) clear", "1. No effusion\n2) clear"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "prepared"), CASES)
def test_line_breaks_that_carry_meaning_are_kept(text: str, prepared: str) -> None:
    assert prepare_report(text) == prepared


def test_hard_wrapped_text_is_joined_but_for_lists_headings_and_blank_lines() -> None:
    text = " The heart is enlarged.  The\n Swan-Ganz catheter is\n unchanged.\n LUNGS: Clear.\n\n - Rib\n fracture"
    assert prepare_report(text, wrapped=True) == (
        "The heart is enlarged. The Swan-Ganz catheter is unchanged.\nLUNGS: Clear.\n\n- Rib fracture"
    )


@given(st.text(alphabet="aB1-.:•\n\r \u2028", max_size=60), st.booleans())
def test_twice_is_as_once(text: str, wrapped: bool) -> None:
    once = prepare_report(text, wrapped)
    assert prepare_report(once, wrapped) == once
    assert once.split() == text.split()


@given(st.text(alphabet="aB. ", max_size=60))
def test_without_line_breaks_it_only_collapses_blanks(text: str) -> None:
    assert prepare_report(text) == " ".join(text.split())
