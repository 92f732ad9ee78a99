"""Near-duplicate reports: the fast search finds what comparing all pairs finds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fedmrg_core.data.splits.duplicates import NEAR, near_duplicate_groups, shingles

WORD = st.sampled_from(["heart", "lungs", "clear", "normal", "no", "effusion", "large", "left"])
WORDS = st.lists(WORD, min_size=1, max_size=14)


@given(st.lists(WORDS, min_size=2, max_size=14), st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_same_groups_as_by_comparing_all_pairs(words, drop):
    reports = [" ".join(own) for own in words] + [
        " ".join(own[:drop] + own[drop + 1 :]) for own in words if len(own) > 1
    ]
    sets = [shingles(report) for report in reports]
    link = {at: {at} for at in range(len(sets))}
    for one in range(len(sets)):
        for other in range(one):
            if 100 * len(sets[one] & sets[other]) >= NEAR * len(sets[one] | sets[other]):
                link[one] = link[other] = link[one] | link[other]
                for at in link[one]:
                    link[at] = link[one]
    wanted = sorted({tuple(sorted(group)) for group in link.values() if len(group) > 1})
    assert [tuple(group) for group in near_duplicate_groups(reports)] == wanted


def test_case_and_punctuation_do_not_matter():
    assert near_duplicate_groups(["The heart is normal.", "Lungs clear", "THE HEART, IS NORMAL"]) == [[0, 2]]
