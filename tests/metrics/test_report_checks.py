"""What a report says twice, on the wrong side, of the wrong severity, or against itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fedmrg_core.data.phantom import PhantomConfig, PhantomSource, grammar
from fedmrg_core.data.phantom.truth import shown
from fedmrg_core.metrics.catalogue import Reports, find
from fedmrg_core.metrics.definitions import Shown
from fedmrg_core.metrics.registered.repeated import repeats
from fedmrg_core.metrics.scorecard import scorecard
from fedmrg_core.metrics.stated import contradicts, facts, wrong_sides, wrong_sizes

FILM: Shown = {
    "Pleural Effusion": ("left", 0),
    "Pneumonia": ("both", 1),
    "Cardiomegaly": ("", 2),
    "Fracture": ("right", 1),
}


@pytest.mark.parametrize(
    ("report", "sides", "sizes"),
    [
        ("Small left pleural effusion.", (0, 1), (0, 1)),
        ("Small right pleural effusion.", (1, 1), (0, 1)),
        ("There are large bilateral pleural effusions.", (1, 1), (1, 1)),
        ("Pleural effusion.", (0, 0), (0, 0)),
        ("No left pleural effusion.", (0, 0), (0, 0)),
        ("Possible left pleural effusion.", (0, 1), (0, 0)),
        ("Mild pneumonia, right upper lobe.", (1, 1), (1, 1)),
        ("Moderate multifocal pneumonia, both upper lobes.", (0, 1), (0, 1)),
        ("Severe cardiomegaly. Small left effusion.", (0, 1), (0, 2)),
        ("The heart is enlarged to a mild degree.", (0, 0), (1, 1)),
        ("There is a mildly displaced fracture of the right clavicle.", (0, 1), (0, 1)),
        ("There is a displaced fracture of the left clavicle.", (1, 1), (1, 1)),
        ("Large right pneumothorax.", (0, 0), (0, 0)),  # not drawn: CE F1 counts it
        ("", (0, 0), (0, 0)),
    ],
)
def test_sides_and_sizes_are_those_of_the_film(report: str, sides: tuple[int, int], sizes: tuple[int, int]) -> None:
    assert wrong_sides(report, FILM) == sides
    assert wrong_sizes(report, FILM) == sizes


@pytest.mark.parametrize(
    ("report", "wrong"),
    [
        ("Moderate pneumonia, left lower lobe. Heart size normal. No visible pneumonia.", True),
        ("No cardiomegaly. Possible mild cardiomegaly.", True),
        ("Moderate pneumonia, left lower lobe. No visible effusion.", False),
        ("Mild cardiomegaly. IMPRESSION: Mild cardiomegaly.", False),
        ("No effusion. No pleural effusion.", False),
        ("", False),
    ],
)
def test_a_report_that_states_and_denies_a_condition_contradicts_itself(report: str, wrong: bool) -> None:
    assert contradicts(report) is wrong


@pytest.mark.parametrize(
    ("report", "twice"),
    [
        ("No effusion. Heart size normal. No effusion.", True),
        ("No effusion; no Effusion", True),
        ("Small effusion, left. IMPRESSION: Small effusion, left.", False),
        ("A 1.5 cm nodule. A 1.5 cm mass.", False),
        ("...", False),
        ("", False),
    ],
)
def test_a_sentence_is_said_twice(report: str, twice: bool) -> None:
    assert repeats(report) is twice


def test_the_scores_of_a_corpus_are_shares_of_reports_and_of_findings() -> None:
    """Five findings with a side, two wrong; three with a severity, one wrong; one report of four stutters and another
    contradicts itself, which CE F1 does not see: 4 of 4 found, none invented."""
    film: Shown = {"Pleural Effusion": ("left", 0), "Pneumonia": ("both", 1)}
    hypotheses = [
        "Small left pleural effusion. Moderate pneumonia, both lower lobes.",
        "Right pleural effusion. Pneumonia, left lower lobe. No edema. No edema.",
        "Large left pleural effusion. Pneumonia. No visible pneumonia.",
        "Pleural effusion. Pneumonia.",
    ]
    rows = [
        {"study_id": str(i), "patient_id": str(i), "hospital": "a", "part": "test", "view": "global", "truth": film,
         "reference": "Small left pleural effusion. Moderate pneumonia, both lower lobes.", "hypothesis": hypothesis}
        for i, hypothesis in enumerate(hypotheses)
    ]  # fmt: skip
    scores = scorecard(pd.DataFrame(rows), None, resamples=0, conventions=["r2gen"]).scores
    expected = {"wrong_side": 2 / 5, "wrong_size": 1 / 3, "contradiction": 1 / 4, "repeated": 1 / 4}
    assert {key: scores[f"test/global/{key}"].value for key in expected} == expected
    assert scores["test/global/ce_f1_pneumonia"].value == scores["test/global/ce_f1_micro14"].value == 1


def test_the_phantoms_own_reports_pass_every_check() -> None:
    source = PhantomSource(PhantomConfig.load(), 0)
    studies = source.studies()[::8]
    films = shown(study.study_id for study in studies)
    placed = np.array([wrong_sides(study.report, films[study.study_id]) for study in studies]).sum(0)
    sized = np.array([wrong_sizes(study.report, films[study.study_id]) for study in studies]).sum(0)
    assert placed[0] == sized[0] == 0
    assert min(placed[1], sized[1]) > len(studies) / 2
    assert [study.report for study in studies if contradicts(study.report)] == []


def test_every_wording_of_the_grammar_says_its_side_and_severity() -> None:
    wrong = []
    for key, templates in grammar.groups().items():
        if ".negative" in key:
            continue
        group, form = key.rsplit(".", 1)
        for template in templates:
            for finding in grammar.example_findings(group, form):
                text = next(grammar.expand(template, finding), "")
                own = [fact for fact in facts(text) if fact.condition == finding.condition]
                slots = grammar.slots_of(template)
                sided = form.endswith("2") or {"side", "place"} & set(slots)
                size = finding.tier if {"size", "grade", "shift"} & set(slots) else None
                expected = (finding.side if sided else "", size)
                if text and [(fact.side, fact.size) for fact in own] != [expected]:
                    wrong.append((text, own))
    assert wrong[:5] == []


def test_without_the_truth_there_is_no_phantom_score() -> None:
    states = np.zeros((1, 14), np.int8)
    for key in ("wrong_side", "wrong_size", "contradiction"):
        compute = find(key).compute
        assert compute is not None
        assert compute(Reports(["a"], ["Small left effusion."], states, states)) is None


def test_codes_of_a_private_run_have_no_truth() -> None:
    assert shown(["d0-h01-p0001-s1", "9f3a"]) == {}
