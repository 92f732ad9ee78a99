"""The two text conventions, and `plain`, which removes what breaks the scorers.

`r2gen` is the cleaning of R2Gen's IU X-ray and MIMIC-CXR readers (Chen et al., EMNLP 2020, `modules/tokenizers.py`),
which most papers of the field score on: lower case, list numbers and punctuation dropped, a full stop as a token.
`ptb` is the COCO caption tokenizer (Stanford PTB, punctuation dropped) and needs Java: see `java.ptb_tokenise`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)
Value = TypeVar("Value")

CONVENTIONS: tuple[str, ...] = ("r2gen", "ptb")

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff]")
_LIST_NUMBERS = (("1. ", ""), (". 2. ", ". "), (". 3. ", ". "), (". 4. ", ". "), (". 5. ", ". "))
_LOOSE_NUMBERS = ((" 2. ", ". "), (" 3. ", ". "), (" 4. ", ". "), (" 5. ", ". "))
# R2Gen's own character class; its `:-\[` is a range (: to [), so it keeps hyphens and drops = @ < > as well.
_DROPPED = re.compile(r"[.,?;*!%^&_+():-\[\]{}\"/\\']")
_DOTS = re.compile(r"\.{2,}")


def plain(text: str) -> str:
    """One line without the characters that break the scorers.

    Control characters, lone surrogates and `|||` (METEOR's separator) become blanks. Every run of white space (newline,
    carriage return, U+2028 ..) becomes one blank.

    >>> plain("No effusion.\\u2028||| Heart\\r\\nnormal. ")
    'No effusion. Heart normal.'
    """
    return " ".join(_CONTROL.sub(" ", text).replace("|||", " ").split())


def clean_r2gen(text: str) -> str:
    """R2Gen's cleaning: tokens separated by single blanks; an empty report stays empty (R2Gen would make it a dot).

    >>> clean_r2gen("1. Heart size normal. 2. No effusion/pneumothorax.")
    'heart size normal . no effusionpneumothorax .'
    """
    text = _DOTS.sub(".", plain(text))
    if not text:
        return ""
    for old, new in (*_LIST_NUMBERS, *_LOOSE_NUMBERS):
        text = text.replace(old, new)
    sentences = (_DROPPED.sub("", part.strip()).strip() for part in text.strip().lower().split(". "))
    return " ".join((" . ".join(sentences) + " .").split())


def clean_many(texts: Iterable[str]) -> list[str]:
    """`clean_r2gen` of every text."""
    return [clean_r2gen(text) for text in texts]


def each_distinct(items: Sequence[Item], measure: Callable[[list[Item]], Iterable[Value]]) -> list[Value]:
    """One value per item, in order. `measure` is called once, with the distinct items.

    >>> each_distinct(["one", "three", "one"], lambda texts: [len(text) for text in texts])
    [3, 5, 3]
    """
    distinct = list(dict.fromkeys(items))
    values = dict(zip(distinct, measure(distinct), strict=True))
    return [values[item] for item in items]
