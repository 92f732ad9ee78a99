"""The words that every part of the project shares: tensors on the wire, conditions, label states, studies, errors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]
"""Parameter name -> CPU tensor."""

Payload = dict[str, State]
"""What crosses the wire, in named groups, such as ``{"delta": .., "prototypes": ..}``."""

CONDITIONS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)
"""The 14 CheXpert conditions, in CheXpert's order (Irvin et al., AAAI 2019)."""

FIVE_CONDITIONS: tuple[str, ...] = ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")
"""CheXpert's five competition conditions, the `5` of `micro5`."""


class LabelState(IntEnum):
    """What a report says of a condition; the order is the diagnosis head's and the prompt table's."""

    BLANK = 0
    POSITIVE = 1
    NEGATIVE = 2
    UNCERTAIN = 3


Labels = tuple[int, ...]
"""14 `LabelState` values in the order of `CONDITIONS`."""

PARTS: tuple[str, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Study:
    """One chest X-ray study. `image` is relative to the data root (or a generator's key); `hospital` is where the
    study was made, which a split may override; `part` is "" where the source leaves the division to the split."""

    study_id: str
    patient_id: str
    image: str
    report: str
    labels: Labels
    hospital: str
    part: str = ""
