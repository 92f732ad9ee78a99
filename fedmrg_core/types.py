"""Types and names that the whole project shares: parameters by name, conditions, label states, studies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]
"""Parameter name -> CPU tensor."""

Payload = dict[str, State]
"""Named groups of tensors that server and client exchange, such as ``{"delta": .., "prototypes": ..}``."""

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
"""The five conditions of the CheXpert competition: the `5` in `micro5`."""


class LabelState(IntEnum):
    """What a report says about a condition. The values index the diagnosis head's outputs and the prompt table."""

    BLANK = 0
    POSITIVE = 1
    NEGATIVE = 2
    UNCERTAIN = 3


Labels = tuple[int, ...]
"""14 `LabelState` values in the order of `CONDITIONS`."""

PARTS: tuple[str, ...] = ("train", "val", "test")
"""Parts of every hospital's studies."""


@dataclass(frozen=True, slots=True)
class Study:
    """One chest X-ray study.

    image: path relative to the data root, or a generator's key. hospital: where the study was made; a split may assign
    another. part: one of `PARTS`, or "" if the split decides.
    """

    study_id: str
    patient_id: str
    image: str
    report: str
    labels: Labels
    hospital: str
    part: str = ""
