"""The phantom: what its reports state against what its films show, determinism, hospitals, and the public corpus."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from fedmrg_core.data.phantom import PhantomConfig, PhantomSource, PublicCorpus, grammar
from fedmrg_core.data.phantom.findings import KINDS, Finding, merge_states, truth_of
from fedmrg_core.data.phantom.sheet import contact_sheet
from fedmrg_core.errors import ConfigError, DataError
from fedmrg_core.types import CONDITIONS, LabelState

SMALL = {"sizes": [60, 40, 30, 20, 12, 25, 25]}
NO_FINDING = CONDITIONS.index("No Finding")
DEVICES = CONDITIONS.index("Support Devices")
FOUND = (LabelState.POSITIVE, LabelState.UNCERTAIN)


def small(seed: int = 0, **changes: object) -> PhantomSource:
    return PhantomSource(PhantomConfig.load(overrides=SMALL | changes), seed)


@pytest.fixture(scope="module")
def source() -> PhantomSource:
    return PhantomSource(PhantomConfig.load(), 0)


@pytest.fixture(scope="module")
def public() -> PublicCorpus:
    return PublicCorpus(PhantomConfig.load(), 1500, 0)


def test_default_sizes_patients_and_unseen_hospitals(source):
    studies = source.studies()
    assert Counter(study.hospital for study in studies) == dict(
        zip(("h01", "h02", "h03", "h04", "h05", "h06", "h07"), (900, 600, 420, 260, 140, 340, 340), strict=True)
    )
    assert source.config.unseen == ("h06", "h07")
    assert [study.study_id for study in studies] == sorted({study.study_id for study in studies})
    visits = Counter(study.patient_id for study in studies)
    assert set(visits.values()) == {1, 2, 3, 4}
    assert all(len({s.hospital for s in studies if s.patient_id == p}) == 1 for p, n in visits.most_common(20))


def test_the_same_seed_gives_the_same_bits_in_any_order_of_rendering():
    one, two = small(), small()
    studies = one.studies()[::9]
    forward = [one.image(study, 48) for study in studies]
    backward = [two.image(study, 48) for study in reversed(studies)][::-1]
    assert one.studies() == two.studies()
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert one.fingerprint() == two.fingerprint()


def test_draws_differ_in_patients_texts_and_films():
    one, two = small(0), small(1)
    assert not {s.study_id for s in one.studies()} & {s.study_id for s in two.studies()}
    assert one.fingerprint() != two.fingerprint()
    assert one.apparatus["h01"] != two.apparatus["h01"]


def test_a_size_shows_the_same_chest(source):
    study = source.studies()[5]
    large, film = source.image(study, 192).astype(float), source.image(study, 64).astype(float)
    shrunk = large.reshape(64, 3, 64, 3).mean((1, 3))
    assert film.shape == (64, 64)
    assert np.corrcoef(shrunk.ravel(), film.ravel())[0, 1] > 0.95


def test_labels_are_what_the_sentences_state(source, public):
    for origin in (source, public):
        for study in origin.studies()[::3]:
            report = origin.report(study)
            pairs = [pair for sentence in report.sentences for pair in sentence.states]
            assert study.labels == merge_states(pairs, LabelState.BLANK, LabelState.BLANK)
            assert all(sentence.text in study.report for sentence in report.sentences)
            found = [c for i, c in enumerate(CONDITIONS[:NO_FINDING]) if study.labels[i] in FOUND and i != DEVICES]
            assert (study.labels[NO_FINDING] == LabelState.POSITIVE) == (not found)


def test_reports_never_contain_what_the_film_does_not_show(source, public):
    for origin in (source, public):
        for study in origin.studies():
            truth = origin.truth(study)
            for label, shown in zip(study.labels[:NO_FINDING], truth[:NO_FINDING], strict=True):
                assert label in (LabelState.BLANK, shown)


def test_every_sentence_names_the_side_zone_and_severity_that_is_drawn(source):
    words = {"left", "right", "bilateral", "both", "bilaterally", "bibasilar"}
    for study in source.studies()[::5]:
        plan = {finding.condition: finding for finding in source.plan(study).findings}
        for sentence in source.report(study).sentences:
            said = set(re.findall(r"[a-z]+", sentence.text.lower())) & words
            for condition, state in sentence.states:
                if state in FOUND and said:
                    side = plan[condition].side
                    assert said <= ({"bilateral", "both", "bilaterally", "bibasilar"} if side == "both" else {side})


def test_severity_words_follow_the_size():
    texts = [
        grammar.say_finding(Finding("Pleural Effusion", "left", size=s), True, lambda key, n: 0).text
        for s in (0.1, 0.5, 0.9)
    ]
    assert texts == ["Small left pleural effusion.", "Moderate left pleural effusion.", "Large left pleural effusion."]


def test_devices_alone_leave_no_finding_positive():
    states = truth_of([Finding("Support Devices", kind="ett")])
    assert states[NO_FINDING] == states[DEVICES] == LabelState.POSITIVE
    assert truth_of([Finding("Edema", faint=True)])[NO_FINDING] == LabelState.NEGATIVE


@pytest.mark.parametrize("condition", CONDITIONS[:NO_FINDING])
def test_every_condition_and_form_changes_the_film_on_its_own_side(condition):
    from fedmrg_core.data.phantom.film import draw_body
    from fedmrg_core.seeding import generator

    config = PhantomConfig.load()
    apparatus = small().apparatus["h01"]

    def body(*findings):
        return draw_body(findings, apparatus, config.film, generator("t", 1), generator("t", 2), 64)

    for kind in KINDS.get(condition, ("",)):
        side = "" if kind in ("ett", "ngt") else "right"
        clear, faint = (np.abs(body(Finding(condition, side, "lower", 0.6, f, kind)) - body()) for f in (False, True))
        assert clear.max() > 0.05, kind
        assert faint.sum() < clear.sum() or kind == "pacemaker"
        if condition in (
            "Lung Opacity",
            "Lung Lesion",
            "Consolidation",
            "Pneumonia",
            "Atelectasis",
            "Pneumothorax",
            "Pleural Effusion",
            "Pleural Other",
            "Fracture",
        ):
            assert clear[:, :32].sum() > 5 * clear[:, 32:].sum(), kind


def brightness_spread(origin: PhantomSource) -> float:
    """How far the hospitals' mean and standard deviation of brightness differ."""
    films: dict[str, list[np.ndarray]] = {hospital: [] for hospital in origin.config.hospitals}
    for study in origin.studies():
        films[study.hospital].append(origin.image(study, 32))
    return float(np.array([[np.mean(f), np.std(f)] for f in films.values()]).std(0).sum())


def wording_spread(origin: PhantomSource) -> float:
    """Mean distance of the hospitals' shares of telegraphic and full denials from their average."""
    shares = []
    for hospital in origin.config.hospitals:
        texts = " ".join(s.report for s in origin.studies() if s.hospital == hospital)
        counts = np.array([texts.count(w) for w in ("There is", "is seen", "cannot be", "Negative for", "No evidence")])
        shares.append(counts / counts.sum())
    return float(np.abs(np.array(shares) - np.mean(shares, 0)).mean())


def test_hospitals_differ_in_image_and_text_and_the_knobs_take_it_away():
    own, alike = small(), small(shift={"image": 0.0, "text": 0.0, "prevalence": 0.0})
    assert brightness_spread(own) > 3 * brightness_spread(alike)
    assert wording_spread(own) > 1.5 * wording_spread(alike)
    assert len({h.telegraphic for h in own.habits.values()}) == 7
    assert all(h == alike.habits["h01"] for h in alike.habits.values())
    assert all(a == alike.apparatus["h01"] for a in alike.apparatus.values())
    assert np.allclose(alike.habits["h01"].weight("Edema.positive.full", 4), [0.25, 0.5, 0.75, 1.0])


def test_denials_vary_between_the_studies_of_a_hospital(source):
    labels = np.array([s.labels for s in source.studies() if s.hospital == "h01"])
    effusion = labels[:, CONDITIONS.index("Pleural Effusion")]
    share = (effusion == LabelState.NEGATIVE).sum() / np.isin(effusion, (LabelState.NEGATIVE, LabelState.BLANK)).sum()
    assert 0.05 < share < 0.95


def test_report_lengths(source):
    words = [len(study.report.split()) for study in source.studies()]
    assert 20 <= np.median(words) <= 45
    assert np.quantile(words, 0.95) <= 60


def test_the_public_corpus_uses_every_wording_and_shares_no_patient(source, public):
    text = "\n".join(study.report for study in public.studies())
    table = grammar.phrases()
    for key, templates in grammar.groups().items():
        for template in templates:
            pattern = re.sub(r"\\\{\w+\\\}", r"[\\w -]+", re.escape(template))
            assert re.search(pattern, text, re.IGNORECASE), (key, template)
    slots = table["slots"]
    words = [w for name in ("size", "grade", "shift") for tier in slots[name] for w in tier]
    words += [t.format(side="left") for z in slots["place"].values() for t in z]
    words += [t for z in slots["place2"].values() for t in z]
    words += [t for terms in table["negative"]["terms"].values() for t in terms]
    words += [t for texts in table["filler"].values() for t in texts]
    words += [t for texts in table["headings"].values() for t in texts]
    assert [w for w in words if w.lower() not in text.lower()] == []
    assert not {s.patient_id for s in public.studies()} & {s.patient_id for s in source.studies()}
    assert {s.hospital for s in public.studies()} == {"public"}
    labels = np.array([study.labels for study in public.studies()])
    assert ((labels == LabelState.POSITIVE).sum(0) >= 60).all()


def test_a_study_of_another_draw_is_refused():
    with pytest.raises(DataError, match="no study 'd1-h01-p0001-s1' in draw 0"):
        small(0).image(small(1).studies()[0], 32)


def test_a_wrong_setting_names_its_neighbour(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[image]\ngama = [0.5, 1.0]\n")
    with pytest.raises(ConfigError, match=r"'gama'\. Did you mean 'gamma'"):
        PhantomConfig.load(file)
    with pytest.raises(ConfigError, match=r"shift\.image = 2 is out of range; allowed: 0 to 1"):
        PhantomConfig.load(overrides={"shift": {"image": 2}})
    with pytest.raises(ConfigError, match="sizes = 0 is out of range; allowed: 1 or more"):
        PhantomConfig.load(overrides={"sizes": [5, 0]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"sizes": []}, {"unseen_from": 0}, {"studies_per_patient": [0.0]}, {"shift": {"text": float("nan")}},
        {"case_mix": {"concentration": 0}}, {"case_mix": {"faint": [0.5, 0.1]}}, {"case_mix": {"most_findings": 0}},
        {"case_mix": {"weights": {"normal": -1}}}, {"case_mix": {"profiles": {"icu": {"Edema": 2}}}},
        {"text": {"habit": 0}}, {"text": {"omit": [0.0, 1.5]}}, {"text": {"salience": {"Edema": -1}}},
        {"image": {"native": [0.0, 10.0]}}, {"image": {"noise": [-1.0, 0.0]}}, {"image": {"zoom": [1.0]}},
        {"image": {"zoom": "wide"}}, {"film": {"texture": -1.0}}, {"film": {"faint": "x"}},
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused(wrong):
    with pytest.raises(ConfigError) as refused:
        PhantomConfig.load(overrides=wrong)
    assert len(str(refused.value).splitlines()) == 1


def test_contact_sheet(tmp_path):
    from PIL import Image

    contact_sheet(small(), tmp_path / "sheet.png", size=16)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 14 * 16
        assert sheet.height > 7 * 16
        assert np.asarray(sheet).std() > 20
