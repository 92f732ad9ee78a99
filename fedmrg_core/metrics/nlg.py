"""Text overlap: BLEU-1..4, ROUGE-L, CIDEr (pycocoevalcap's), METEOR 1.5 and rouge-score's ROUGE-1/2/Lsum.

Each metric is a table of per-study sufficient statistics, taken from the libraries' own scorers. `measures` returns
them for all studies at once; each distinct pair is scored once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version as installed
from typing import Any

import numpy as np

from fedmrg_core.metrics import java
from fedmrg_core.metrics.stats import Floats, SumMeasure, mean_measure
from fedmrg_core.metrics.text import clean_many, each_distinct, plain

Pair = tuple[str, str]
"""(reference, hypothesis)"""

Gram = tuple[str, ...]
Vector = tuple[list[dict[Gram, float]], list[float], int]

OVERLAP: tuple[str, ...] = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rougeL", "cider")
"""The metrics that every text convention has."""

_SMALL, _TINY = 1e-9, 1e-15  # pycocoevalcap's guards against division by zero; the same here for equal values


def measures(
    references: Sequence[str],
    hypotheses: Sequence[str],
    corpora: Sequence[object],
    conventions: Iterable[str],
    meteor: bool = True,
) -> tuple[list[SumMeasure], dict[str, str]]:
    """All text metrics of n studies, and the metrics that are missing with the reason and what to install.

    Args:
        references: n reference reports, as written.
        hypotheses: n generated reports.
        corpora: n keys; CIDEr takes its document frequencies from all references with the same key (a split part).
        conventions: of `text.CONVENTIONS`; `r2gen` metrics carry no suffix, `ptb` metrics `_ptb`.
        meteor: False leaves METEOR out, which starts a Java process.
    """
    pairs = list(zip(references, hypotheses, strict=True))
    tokenised: dict[str, list[Pair]] = {}
    missing: dict[str, str] = {}
    for convention in conventions:
        suffix = "" if convention == "r2gen" else f"_{convention}"
        try:
            tokenised[suffix] = tokenise(pairs, convention)
        except java.JavaError as error:
            missing |= {name + suffix: str(error) for name in OVERLAP}
    with ThreadPoolExecutor(1) as pool:  # METEOR is a process of its own: the other metrics run meanwhile
        later = pool.submit(meteor_measures, tokenised if meteor else {})
        found = rouge_measures(pairs)
        for suffix, tokens in tokenised.items():
            found += overlap_measures(tokens, corpora, suffix)
        meteors, absent = later.result()
    return found + meteors, missing | absent


def tokenise(pairs: Sequence[Pair], convention: str) -> list[Pair]:
    """Pairs under a text convention, tokens separated by single blanks."""
    texts = [text for pair in pairs for text in pair]
    how = clean_many if convention == "r2gen" else java.ptb_tokenise
    tokens = each_distinct(texts, how)
    return list(zip(tokens[::2], tokens[1::2], strict=True))


def _table(rows: Sequence[Any], columns: int) -> Floats:
    """Rows as [n, columns], also for n = 0."""
    return np.array(rows, dtype=np.float64).reshape(len(rows), columns)


def _version(package: str, convention: str) -> str:
    return f"{package} {installed(package)}, {convention}"


def overlap_measures(pairs: Sequence[Pair], corpora: Sequence[object], suffix: str = "") -> list[SumMeasure]:
    """BLEU-1..4, ROUGE-L and CIDEr of tokenised pairs."""
    version = _version("pycocoevalcap", suffix.lstrip("_") or "r2gen")
    bleu = _table(each_distinct(pairs, bleu_stats), 10)
    common = np.array(each_distinct(pairs, rouge_l), dtype=np.float64)
    found = [
        SumMeasure(f"bleu{n}{suffix}", bleu, partial(bleu_score, n=n), version, counts=f"bleu_counts{suffix}")
        for n in (1, 2, 3, 4)
    ]
    found.append(mean_measure(f"rougeL{suffix}", common, version))
    return [*found, mean_measure(f"cider{suffix}", cider_by_corpus(pairs, corpora), version)]


def bleu_stats(pairs: Sequence[Pair]) -> Floats:
    """[n, 10]: matched n-grams (4), n-grams of the hypothesis (4), hypothesis and reference length in tokens."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=4)
    for reference, hypothesis in pairs:
        scorer += (hypothesis, [reference])
    rows = [
        [*test["correct"], *test["guess"], test["testlen"], lengths[0]]
        for test, (lengths, _) in zip(scorer.ctest, scorer.crefs, strict=True)
    ]
    return _table(rows, 10)


def bleu_score(sums: Floats, n: int) -> Floats:
    """BLEU-n of summed statistics [.., 10] -> [..], with pycocoevalcap's smoothing constants."""
    precision = (sums[..., 0:n] + _TINY) / (sums[..., 4 : 4 + n] + _SMALL)
    shortness = (sums[..., 8] + _TINY) / (sums[..., 9] + _SMALL)
    with np.errstate(over="ignore"):
        penalty = np.exp(np.minimum(0.0, 1 - 1 / shortness))
    return np.asarray(np.prod(precision, axis=-1) ** (1 / n) * penalty)


def rouge_l(pairs: Sequence[Pair]) -> Floats:
    """pycocoevalcap's ROUGE-L (F with beta 1.2) of each tokenised pair, [n].

    The library's own formula. The length of the common subsequence is counted in the bits of one integer instead of a
    Python table: the same integers, 50 times faster (a test compares the two).
    """
    from pycocoevalcap.rouge.rouge import Rouge

    square = Rouge().beta ** 2
    values = np.zeros(len(pairs))
    for row, (reference, hypothesis) in enumerate(pairs):
        wanted, given = reference.split(" "), hypothesis.split(" ")
        common = common_length(wanted, given)
        if common:
            precision, recall = common / float(len(given)), common / float(len(wanted))
            values[row] = ((1 + square) * precision * recall) / float(recall + square * precision)
    return values


def common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence (Hyyro 2004: a bit per token of `first`, a step per token of `second`).

    >>> common_length("the heart is normal".split(), "heart size is normal".split())
    3
    """
    positions: dict[str, int] = {}
    for position, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << position
    full = (1 << len(first)) - 1
    open_bits = full
    for token in second:
        hits = open_bits & positions.get(token, 0)
        open_bits = ((open_bits + hits) | (open_bits - hits)) & full
    return len(first) - open_bits.bit_count()


def cider_by_corpus(pairs: Sequence[Pair], corpora: Sequence[object]) -> Floats:
    """pycocoevalcap's CIDEr of each pair, [n]; document frequencies come from the references of the pair's corpus."""
    from pycocoevalcap.cider.cider_scorer import precook

    counts: dict[str, dict[Gram, int]] = {text: precook(text) for text in {text for pair in pairs for text in pair}}
    values = np.zeros(len(pairs))
    for corpus in dict.fromkeys(corpora):
        members = [row for row, key in enumerate(corpora) if key == corpus]
        frequency = Counter(gram for row in members for gram in counts[pairs[row][0]])
        size = float(np.log(float(len(members))))
        logs = [0.0, *np.log(np.arange(1.0, len(members) + 1.0)).tolist()]
        texts = {text for row in members for text in pairs[row]}
        vectors = {text: _tfidf(counts[text], frequency, size, logs) for text in texts}
        for row in members:
            values[row] = _cider(vectors[pairs[row][1]], vectors[pairs[row][0]])
    return values


def _tfidf(counts: dict[Gram, int], frequency: Mapping[Gram, int], size: float, logs: Sequence[float]) -> Vector:
    """A text as four tf-idf vectors (one per n-gram length), their norms, and CIDEr's length (its bigrams)."""
    vectors: list[dict[Gram, float]] = [{}, {}, {}, {}]
    norms, length = [0.0] * 4, 0
    for gram, count in counts.items():
        order = len(gram) - 1
        weight = float(count) * (size - logs[frequency.get(gram, 0)])
        vectors[order][gram] = weight
        norms[order] += weight * weight
        if order == 1:
            length += count
    return vectors, [float(np.sqrt(norm)) for norm in norms], length


def _cider(given: Vector, wanted: Vector, sigma: float = 6.0) -> float:
    """CIDEr-D similarity of a hypothesis with its reference, as in pycocoevalcap's `CiderScorer.compute_cider`."""
    penalty = float(np.e ** (-((float(given[2] - wanted[2])) ** 2) / (2 * sigma**2)))
    total = 0.0
    for order in range(4):
        reference = wanted[0][order]
        value = 0.0
        for gram, weight in given[0][order].items():
            other = reference.get(gram)
            if other is not None:
                value += min(weight, other) * other
        norm = given[1][order] * wanted[1][order]
        total += (value / norm if norm else value) * penalty
    return total / 4 * 10.0


def rouge_measures(pairs: Sequence[Pair]) -> list[SumMeasure]:
    """rouge-score's ROUGE-1, -2 and -Lsum F-measures: its own tokenizer, no stemming, a newline ends a sentence."""
    from rouge_score.rouge_scorer import RougeScorer

    names = ["rouge1", "rouge2", "rougeLsum"]
    scorer = RougeScorer(names, use_stemmer=False)

    def scored(distinct: list[Pair]) -> list[list[float]]:
        rows = [scorer.score(reference, hypothesis) for reference, hypothesis in distinct]
        return [[row[name].fmeasure for name in names] for row in rows]

    table = _table(each_distinct(pairs, scored), 3)
    version = _version("rouge-score", "as written")
    return [mean_measure(name, table[:, column], version) for column, name in enumerate(names)]


def meteor_measures(tokenised: dict[str, list[Pair]]) -> tuple[list[SumMeasure], dict[str, str]]:
    """METEOR under each convention (suffix -> pairs), all of it in one Java process; else why it is missing."""
    every = [(plain(a), plain(b)) for pairs in tokenised.values() for a, b in pairs]
    if not tokenised:
        return [], {}
    try:
        rows = _table(each_distinct(every, java.meteor_stats), java.METEOR_STATS)
    except java.JavaError as error:
        return [], {f"meteor{suffix}": str(error) for suffix in tokenised}
    found, start = [], 0
    for suffix, pairs in tokenised.items():
        part = rows[start : start + len(pairs)]
        convention = suffix.lstrip("_") or "r2gen"
        version = f"METEOR 1.5 ({_version('pycocoevalcap', convention)})"
        found.append(SumMeasure(f"meteor{suffix}", part, java.meteor_score, version, counts=f"meteor_counts{suffix}"))
        start += len(pairs)
    return found, {}
