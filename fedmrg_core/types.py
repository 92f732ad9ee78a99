"""The words that every part of the project shares: tensors on the wire, conditions, label states, studies, errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from torch import Tensor

State = dict[str, Tensor]
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


class FedMRGError(Exception):
    """A mistake that its user can mend: printed as one line, without a stack trace; exit code 2."""


class DataError(FedMRGError):
    """Bad input data. The message names the file, the row where there is one, and what to do."""

    def __init__(self, message: str, file: str = "", row: int | None = None) -> None:
        where = f"{file}, row {row}: " if file and row is not None else f"{file}: " if file else ""
        super().__init__(where + message)
        self.file, self.row = file, row


class ConfigError(FedMRGError):
    """A wrong setting: names the value, the allowed values and the nearest one."""


def choose(what: str, value: str, allowed: Iterable[str], error: type[FedMRGError] = ConfigError) -> str:
    """Return `value` if it is one of `allowed`; otherwise raise `error` with the nearest name.

    >>> choose("preset", "tiny", ["tiny", "paper"])
    'tiny'
    """
    names = sorted(allowed)
    if value in names:
        return value
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise error(f"unknown {what} '{value}'.{hint} Allowed: {', '.join(names) or '(none)'}.")
