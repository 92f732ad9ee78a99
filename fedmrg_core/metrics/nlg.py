"""Text overlap: BLEU-1..4, ROUGE-L, CIDEr (pycocoevalcap's), METEOR 1.5 and rouge-score's ROUGE-1/2/Lsum.

Every figure is kept as per-study sufficient statistics taken from the libraries' own scorers; `measures` returns
them for a whole table of studies at once, each distinct pair scored once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from importlib.metadata import version as installed

import numpy as np

from fedmrg_core.metrics import java
from fedmrg_core.metrics.stats import Floats, SumMeasure, mean_measure
from fedmrg_core.metrics.text import clean_many, plain

Pair = tuple[str, str]
"""(reference, hypothesis)"""

_SMALL, _TINY = 1e-9, 1e-15  # pycocoevalcap's guards against division by zero, kept so that values agree


def measures(
    references: Sequence[str], hypotheses: Sequence[str], corpora: Sequence[object], conventions: Iterable[str]
) -> tuple[list[SumMeasure], dict[str, str]]:
    """All text metrics of n studies, and the metrics that are missing with the reason and what to install.

    Args:
        references: n reference reports, as written.
        hypotheses: n generated reports.
        corpora: n keys; CIDEr takes its document frequencies from all references with the same key (a split part).
        conventions: of `text.CONVENTIONS`; `r2gen` metrics carry no suffix, `ptb` metrics `_ptb`.
    """
    pairs = list(zip(references, hypotheses, strict=True))
    found = rouge_measures(pairs)
    missing: dict[str, str] = {}
    tokenised: dict[str, list[Pair]] = {}
    for convention in conventions:
        suffix = "" if convention == "r2gen" else f"_{convention}"
        try:
            tokenised[suffix] = tokenise(pairs, convention)
        except java.JavaMissing as error:
            missing |= {name + suffix: str(error) for name in ("bleu1", "bleu2", "bleu3", "bleu4", "rougeL", "cider")}
            missing["meteor" + suffix] = str(error)
            continue
        found += overlap_measures(tokenised[suffix], corpora, suffix)
    meteors, absent = meteor_measures(tokenised)
    return found + meteors, missing | absent


def tokenise(pairs: Sequence[Pair], convention: str) -> list[Pair]:
    """Pairs under a text convention, tokens separated by single blanks."""
    texts = [text for pair in pairs for text in pair]
    distinct = sorted(set(texts))
    tokens = clean_many(distinct) if convention == "r2gen" else java.ptb_tokenise(distinct)
    table = dict(zip(distinct, tokens, strict=True))
    return [(table[reference], table[hypothesis]) for reference, hypothesis in pairs]


def _per_distinct(pairs: Sequence[Pair]) -> tuple[list[Pair], list[int]]:
    """The distinct pairs, and for each pair its place among them."""
    places: dict[Pair, int] = {}
    inverse = [places.setdefault(pair, len(places)) for pair in pairs]
    return list(places), inverse


def _version(package: str, convention: str) -> str:
    return f"{package} {installed(package)}, {convention}"


def overlap_measures(pairs: Sequence[Pair], corpora: Sequence[object], suffix: str = "") -> list[SumMeasure]:
    """BLEU-1..4, ROUGE-L and CIDEr of tokenised pairs."""
    version = _version("pycocoevalcap", suffix.lstrip("_") or "r2gen")
    distinct, inverse = _per_distinct(pairs)
    bleu = bleu_stats(distinct)[inverse]
    found = [SumMeasure(f"bleu{n}{suffix}", bleu, partial(bleu_score, n=n), version) for n in (1, 2, 3, 4)]
    found.append(mean_measure(f"rougeL{suffix}", rouge_l(distinct)[inverse], version))
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
    return np.array(rows, dtype=np.float64).reshape(len(rows), 10)


def bleu_score(sums: Floats, n: int) -> Floats:
    """BLEU-n of summed statistics [.., 10] -> [..], with pycocoevalcap's smoothing constants."""
    precision = (sums[..., 0:n] + _TINY) / (sums[..., 4 : 4 + n] + _SMALL)
    shortness = (sums[..., 8] + _TINY) / (sums[..., 9] + _SMALL)
    with np.errstate(over="ignore"):
        penalty = np.exp(np.minimum(0.0, 1 - 1 / shortness))
    return np.asarray(np.prod(precision, axis=-1) ** (1 / n) * penalty)


def rouge_l(pairs: Sequence[Pair]) -> Floats:
    """pycocoevalcap's ROUGE-L (F with beta 1.2) of each tokenised pair, [n]."""
    from pycocoevalcap.rouge.rouge import Rouge

    scorer = Rouge()
    return np.array([scorer.calc_score([hypothesis], [reference]) for reference, hypothesis in pairs], dtype=np.float64)


def cider_by_corpus(pairs: Sequence[Pair], corpora: Sequence[object]) -> Floats:
    """pycocoevalcap's CIDEr of each pair, [n]; document frequencies come from the references of the pair's corpus."""
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    values = np.zeros(len(pairs))
    for corpus in dict.fromkeys(corpora):
        members = [row for row, key in enumerate(corpora) if key == corpus]
        scorer = CiderScorer()
        for row in members:
            scorer += (pairs[row][1], [pairs[row][0]])
        scorer.compute_doc_freq()
        values[members] = scorer.compute_cider()
    return values


def rouge_measures(pairs: Sequence[Pair]) -> list[SumMeasure]:
    """rouge-score's ROUGE-1, -2 and -Lsum F-measures: its own tokenizer, no stemming, a newline ends a sentence."""
    from rouge_score.rouge_scorer import RougeScorer

    names = ["rouge1", "rouge2", "rougeLsum"]
    scorer = RougeScorer(names, use_stemmer=False)
    distinct, inverse = _per_distinct(pairs)
    scored = [scorer.score(reference, hypothesis) for reference, hypothesis in distinct]
    table = np.array([[row[name].fmeasure for name in names] for row in scored], dtype=np.float64).reshape(-1, 3)
    version = _version("rouge-score", "as written")
    return [mean_measure(name, table[inverse, column], version) for column, name in enumerate(names)]


def meteor_measures(tokenised: dict[str, list[Pair]]) -> tuple[list[SumMeasure], dict[str, str]]:
    """METEOR under each convention (suffix -> pairs), all of it in one Java process; else why it is missing."""
    distinct, inverse = _per_distinct([(plain(a), plain(b)) for pairs in tokenised.values() for a, b in pairs])
    try:
        rows = java.meteor_stats(distinct)[inverse] if distinct else np.zeros((0, java.METEOR_STATS))
    except java.JavaMissing as error:
        return [], {f"meteor{suffix}": str(error) for suffix in tokenised}
    found, start = [], 0
    for suffix, pairs in tokenised.items():
        part = rows[start : start + len(pairs)]
        convention = suffix.lstrip("_") or "r2gen"
        version = f"METEOR 1.5 ({_version('pycocoevalcap', convention)})"
        found.append(SumMeasure(f"meteor{suffix}", part, java.meteor_score, version))
        start += len(pairs)
    return found, {}
