"""Is a report in English? The labeler reads English only, and would call any other text free of findings.

    >>> reads_as_english("Small left pleural effusion."), reads_as_english("Pequeño derrame pleural izquierdo.")
    (True, False)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LEAST_SHARE = 0.2
"""English text has at least this share of `_ENGLISH` among its words; on the IU X-ray reports it is .3 to 1."""
_FEW = 3
"""A text of so few words is taken as English if it is in Latin letters: too short to tell."""
_WORD = re.compile(r"[^\W\d_]+")
_REMOVED = re.compile(r"x{2,}")  # names taken out of the text
_COMMON = """
    the of is are was were be been and or with without there this that these to for from by at it not has have
    which may but within seen noted identified again also than both either neither nor due likely appears appear
    heart lung lungs chest left right upper lower middle lobe lobes side size sized clear small mild mildly
    moderate enlarged stable unchanged acute chronic evidence limits findings finding impression view views
    pneumothorax pneumonia effusion effusions consolidation opacity opacities edema oedema atelectasis
    cardiomegaly airspace space spaces disease process abnormality abnormalities bony osseous bones structures
    thoracic spine degenerative changes change silhouette mediastinum contour contours cardiac cardiomediastinal
    pulmonary vascularity vasculature vascular markings fluid bilaterally tube lines catheter tip placement
    position interval increased decreased new old prior previous comparison compared study examination fracture
    fractures rib ribs nodule nodules mass hyperexpanded hyperinflated calcified tortuous aortic soft tissues
    intact unremarkable grossly free air visible visualized present absent none enlargement scarring volumes
    volume low patient status surgical clips pacemaker picc port hilum apex wall thickening peripheral patchy
    infiltrate infiltrates diffuse ground glass elevated range history known recent recently presented
    presentation developed demonstrates shows imaging notes female male year old he she her his
    possible marked severe slight widening cannot excluded across all zones zone widespread progression along
    could should would will because since however although further followup recommended consider suggest suggests
"""
_ENGLISH = frozenset(_COMMON.split())


def reads_as_english(report: str) -> bool:
    """Whether a report looks English: its letters are Latin and enough of its words are common in English reports.
    Empty and very short texts count as English."""
    words = [word for word in _WORD.findall(report.lower()) if not _REMOVED.fullmatch(word)]
    letters = "".join(words)
    if not letters:
        return True
    if sum(letter < "\u0250" for letter in letters) < 0.7 * len(letters):
        return False
    if len(words) <= _FEW:
        return True
    return sum(word in _ENGLISH for word in words) >= LEAST_SHARE * len(words)


def not_english(reports: Iterable[str]) -> int:
    """How many of the reports do not look English."""
    return sum(not reads_as_english(report) for report in reports)
