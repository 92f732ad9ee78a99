"""Text metrics against pycocoevalcap itself, against the golden file, and on the inputs that break others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge, my_lcs

from fedmrg_core.metrics import java as java_module
from fedmrg_core.metrics import nlg
from fedmrg_core.metrics.stats import Floats, SumMeasure
from tests.metrics.conftest import PAIRS, Golden

TOKENS = [(nlg.clean_many([a])[0], nlg.clean_many([b])[0]) for a, b in PAIRS]
HARD = [
    ("No effusion.\nHeart normal.", "No\u2028effusion.\r\nHeart ||| normal."),
    ("Heart normal.", ""),
    ("", "Heart normal."),
    ("", ""),
    ("Herzgr\u00f6\u00dfe normal \u2013 \u5fc3\u81d3 \U0001fac1 \ud800", "\x00\x07"),
    ("|||", "||| |||"),
    ("Heart normal. " * 300, "Heart"),
]


def corpus(measures: list[SumMeasure]) -> dict[str, float]:
    return {m.name: float(m.score(np.ones((1, len(m.rows))), np.arange(len(m.rows)))[0]) for m in measures}


def library(pairs: list[tuple[str, str]], scorer: object) -> tuple[object, Floats]:
    references = {i: [reference] for i, (reference, _) in enumerate(pairs)}
    hypotheses = {i: [hypothesis] for i, (_, hypothesis) in enumerate(pairs)}
    if isinstance(scorer, Bleu):
        return scorer.compute_score(references, hypotheses, verbose=0)
    return scorer.compute_score(references, hypotheses)  # type: ignore[attr-defined]


def test_bleu_rouge_and_cider_are_the_librarys_own_numbers() -> None:
    measures = nlg.overlap_measures(TOKENS, ["all"] * len(TOKENS))
    values, each = corpus(measures), {m.name: m.per_study for m in measures}
    bleu, by_pair = library(TOKENS, Bleu(4))
    for n in range(4):
        assert values[f"bleu{n + 1}"] == pytest.approx(bleu[n], abs=1e-15)  # type: ignore[index]
        np.testing.assert_allclose(each[f"bleu{n + 1}"], by_pair[n], atol=1e-15)
    for name, scorer in (("rougeL", Rouge()), ("cider", Cider())):
        value, by_pair = library(TOKENS, scorer)
        assert values[name] == pytest.approx(value, abs=1e-12)
        np.testing.assert_allclose(each[name], by_pair, atol=1e-12)


def test_resampled_bleu_is_the_bleu_of_the_resampled_corpus() -> None:
    drawn = [0, 0, 3, 4, 5, 0]
    measure = next(m for m in nlg.overlap_measures(TOKENS, ["all"] * 6) if m.name == "bleu2")
    weights = np.bincount(drawn, minlength=6).astype(float)[None]
    expected, _ = library([TOKENS[i] for i in drawn], Bleu(4))
    assert measure.score(weights, np.arange(6))[0] == pytest.approx(expected[1], abs=1e-15)  # type: ignore[index]


def test_a_corpus_of_one_pair_has_no_cider_and_the_whole_parts_frequencies_give_it_one() -> None:
    alone = nlg.cider_by_corpus(TOKENS, list(range(len(TOKENS))))
    together = nlg.cider_by_corpus(TOKENS, ["part"] * len(TOKENS))
    assert not alone.any()
    assert together[1] == pytest.approx(10.0)  # an identical pair


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
def test_common_length_in_bits_is_the_librarys_table(first: list[str], second: list[str]) -> None:
    assert nlg.common_length(first, second) == my_lcs(first, second)


def test_golden_values_on_real_report_pairs(golden: Golden, java: str) -> None:
    measures, missing = nlg.measures(golden.references, golden.hypotheses, ["all"] * 60, ["r2gen", "ptb"])
    values, each = corpus(measures), {m.name: m.per_study for m in measures}
    assert not missing
    for suffix, convention in (("", "r2gen_clean"), ("_ptb", "ptb")):
        wanted, by_pair = golden.scores[convention]["corpus"], golden.scores[convention]["per_pair"]
        for n in range(4):
            assert values[f"bleu{n + 1}{suffix}"] == pytest.approx(wanted["BLEU"][n], abs=1e-6)
        np.testing.assert_allclose(each["bleu4" + suffix], by_pair["BLEU4"], atol=1e-6)
        for ours, theirs in (("rougeL", "ROUGE_L"), ("cider", "CIDEr"), ("meteor", "METEOR")):
            assert values[ours + suffix] == pytest.approx(wanted[theirs], abs=1e-6)
            np.testing.assert_allclose(each[ours + suffix], by_pair[theirs], atol=1e-6)


def test_hard_inputs_are_scored_pair_by_pair_without_a_shift(java: str) -> None:
    references, hypotheses = (list(texts) for texts in zip(*(HARD + PAIRS), strict=True))
    measures, missing = nlg.measures(references, hypotheses, ["all"] * len(references), ["r2gen", "ptb"])
    assert not missing
    assert all(np.isfinite(m.per_study).all() for m in measures)
    identical = len(HARD) + 1
    for name in ("rougeL", "rougeL_ptb", "meteor", "meteor_ptb", "rouge1"):
        assert next(m for m in measures if m.name == name).per_study[identical] == pytest.approx(1.0)


def test_ten_thousand_pairs_and_a_single_one() -> None:
    pairs = [(f"Heart {i}. No effusion.", f"Heart {i + i % 2}.") for i in range(10_000)]
    for chosen in (pairs, pairs[:1]):
        references, hypotheses = (list(texts) for texts in zip(*chosen, strict=True))
        measures = nlg.overlap_measures(nlg.tokenise(chosen, "r2gen"), ["all"] * len(chosen))
        assert all(len(m.per_study) == len(references) == len(hypotheses) for m in measures)
        assert 0 < corpus(measures)["bleu1"] < 1


def test_without_java_its_metrics_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java_module.shutil, "which", lambda name: None)
    measures, missing = nlg.measures(["Heart normal."], ["Heart normal."], ["all"], ["r2gen", "ptb"])
    assert {m.name for m in measures} == {
        "bleu1", "bleu2", "bleu3", "bleu4", "rougeL", "cider", "rouge1", "rouge2", "rougeLsum",
    }  # fmt: skip
    assert set(missing) == {"meteor", *(f"{name}_ptb" for name in nlg.OVERLAP)}
    assert all("install a runtime" in reason for reason in missing.values())


def test_a_java_that_hangs_is_ended_at_its_limit_and_one_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "java"
    monkeypatch.setattr(java_module.shutil, "which", lambda name: str(script))
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    with pytest.raises(java_module.JavaError, match="longer than"):
        java_module._run([], ["a"], tmp_path, limit=0.2)
    script.write_text("#!/bin/sh\necho broken heap >&2\nexit 3\n")
    with pytest.raises(java_module.JavaError, match=r"exit 3.*broken heap"):
        java_module._run([], ["a"], tmp_path, limit=10)


def test_each_distinct_text_is_tokenised_once(java: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[list[str]]] = {"r2gen": [], "ptb": []}

    def counted(name: str, function: Callable[[list[str]], list[str]]) -> Callable[[list[str]], list[str]]:
        def call(texts: list[str]) -> list[str]:
            seen[name].append(list(texts))
            return function(texts)

        return call

    monkeypatch.setattr(nlg, "clean_many", counted("r2gen", nlg.clean_many))
    monkeypatch.setattr(java_module, "ptb_tokenise", counted("ptb", java_module.ptb_tokenise))
    references, hypotheses = (list(texts) for texts in zip(*(PAIRS * 3), strict=True))
    nlg.measures(references, hypotheses, ["all"] * len(references), ["r2gen", "ptb"])
    assert seen["r2gen"] == seen["ptb"] == [list(dict.fromkeys(text for pair in PAIRS for text in pair))]


def test_a_texts_tokens_do_not_depend_on_the_text_behind_it(java: str) -> None:
    texts = ["Seen in grade A.", "Effusion is no.", "See fig."]
    behind = ["The heart is big.", "1. Heart.", "", "Lungs."]
    found = {tuple(java_module.ptb_tokenise([text, after])[0] for text in texts) for after in behind}
    assert len(found) == 1
    assert java_module.ptb_tokenise(texts) == list(*found)
