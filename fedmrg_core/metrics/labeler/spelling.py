"""The words of a sentence in the spelling of the rule files: American, contractions and abbreviations written out.

    >>> words("there isn't pulmonary oedema, ?ptx: no")
    ['there', 'is', 'not', 'pulmonary', 'edema', ',', 'possible', 'pneumothorax', ':', 'no', '.']
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"[a-z0-9]+|[,:]|(?<=\s)-(?=[\sa-z])")
_REPLACED = [
    (re.compile(pattern), text)
    for pattern, text in (
        (r"[\u2018\u2019\u02bc`\u00b4]", "'"),
        (r"\s?\u2014\s?|(?<=\s)\u2013(?=\s)|(?<=\s)--(?=\s)", " - "),
        (r"[=|]", " : "),
        (r"\(", " , "),
        (r"\b(?:can't|cant|cannot)\b", "can not"),
        (r"\bwon'?t\b", "will not"),
        (r"\b(is|are|was|were|has|have|had|do|does|did|could|would|should)(?:n't|nt)\b", r"\1 not"),
        (r"\b(there|it|that)'s\b", r"\1 is"),
        (r"'s\b", ""),
        (r"\bw/o\b", "without"),
        (r"\bs/p\b", "status post"),
        (r"\bc/w\b", "consistent with"),
        (r"\br/o\b", "rule out"),
        (r"\be/o\b", "evidence of"),
        (r"(?:(?<=\s)|^)(?:\?|\+/-)\s?(?=[a-z])", "possible "),
        (r"\?\s{0,3}(?=(?:no|none|nil|yes)\b)", " : "),
        (r"(?<=[a-z])\?$", " questionable"),
    )
]
_UNUSUAL = re.compile(
    r"[^a-z0-9 ,.:]|\b(?:cannot|cant|wont|(?:is|are|was|were|has|have|had|do|does|did|could|would|should)nt)\b"
)
"""Without this in a sentence there is nothing to replace."""
_BRITISH = [
    (re.compile(pattern), text)
    for pattern, text in (
        (r"oedema", "edema"),
        (r"haem(?=[oa])", "hem"),
        (r"oesoph", "esoph"),
        (r"tumour", "tumor"),
        (r"anaes", "anes"),
        (r"^(visual|local|general|recogn|normal|mineral|demineral|catheter|hospital|stabil)is(?=e|ing|at)", r"\1iz"),
        (r"^fibre", "fiber"),
        (r"^calibre", "caliber"),
        (r"^centre", "center"),
    )
]
_ABBREVIATIONS = {
    "ptx": "pneumothorax",
    "pna": "pneumonia",
    "ett": "endotracheal tube",
    "ngt": "nasogastric tube",
    "ogt": "orogastric tube",
    "njt": "nasojejunal tube",
    "cvc": "central venous catheter",
    "cvl": "central venous line",
    "ppm": "pacemaker",
    "icc": "chest tube",
    "iabp": "balloon pump",
    "trach": "tracheostomy",
    "vascath": "dialysis catheter",
    "permcath": "dialysis catheter",
    "atelectases": "atelectasis",
    "oedematous": "edema",
}


def words(sentence: str) -> list[str]:
    """The words of a lower-cased sentence with its commas, colons and dashes between blanks, and a final ".".

    Other punctuation only separates words.
    """
    if _UNUSUAL.search(sentence):
        for pattern, text in _REPLACED:
            sentence = pattern.sub(text, sentence)
    found = [word for token in _TOKEN.findall(sentence) for word in _spelled(token).split()]
    return [*found, "."]


@lru_cache(maxsize=65536)
def _spelled(token: str) -> str:
    for pattern, text in _BRITISH:
        token = pattern.sub(text, token)
    return _ABBREVIATIONS.get(token, token)
