"""What a phantom film shows: the drawn findings, and the 14 truth states that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fedmrg_core.types import CONDITIONS, Labels, LabelState

POSITIONS: dict[str, int] = {condition: index for index, condition in enumerate(CONDITIONS)}
PATHOLOGIES: tuple[str, ...] = CONDITIONS[:-1]
SECTIONS: dict[str, str] = {
    "Enlarged Cardiomediastinum": "heart",
    "Cardiomegaly": "heart",
    "Pneumothorax": "pleura",
    "Pleural Effusion": "pleura",
    "Pleural Other": "pleura",
    "Fracture": "bones",
    "Support Devices": "devices",
}
"""The part of a report that speaks of a condition; those not named belong to the lungs."""

KINDS: dict[str, tuple[str, ...]] = {
    "Pleural Other": ("thickening", "plaque"),
    "Fracture": ("rib", "clavicle"),
    "Support Devices": ("pacemaker", "ett", "cvc", "ngt", "drain"),
}
"""Conditions that are drawn, and spoken of, in several forms."""

MIDLINE: tuple[str, ...] = ("Enlarged Cardiomediastinum", "Cardiomegaly", "Edema")
BILATERAL: tuple[str, ...] = ("Lung Opacity", "Pneumonia", "Atelectasis", "Pleural Effusion")
AIRSPACE: tuple[str, ...] = ("Lung Opacity", "Lung Lesion", "Consolidation", "Pneumonia", "Atelectasis")
FAINT_DEVICES: tuple[str, ...] = ("cvc", "ngt")
"""The only devices that may be drawn faintly: nobody wonders whether there is a pacemaker."""

ZONES: tuple[str, ...] = ("upper", "mid", "lower")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing drawn on a film. `side` is the patient's ("left", "right", "both" or ""); `zone` is "upper", "mid",
    "lower" or ""; `size` in [0, 1) grows with extent and sets the severity word; `faint` findings are drawn with
    little contrast and reported as uncertain."""

    condition: str
    side: str = ""
    zone: str = ""
    size: float = 0.5
    faint: bool = False
    kind: str = ""

    @property
    def tier(self) -> int:
        """0 (small, mild), 1 (moderate) or 2 (large, severe)."""
        return min(2, int(self.size * 3))

    @property
    def state(self) -> LabelState:
        """UNCERTAIN where drawn faintly, else POSITIVE."""
        return LabelState.UNCERTAIN if self.faint else LabelState.POSITIVE

    @property
    def group(self) -> str:
        """The name of its wordings in phrases.toml."""
        kind = f"/{self.kind}" if self.kind else ""
        return f"{self.condition}{kind}.{self.state.name.lower()}"


def merge_states(states: Iterable[tuple[str, LabelState]], absent: LabelState, nothing: LabelState) -> Labels:
    """14 states from (condition, state) pairs. A positive outranks an uncertain, which outranks a negative.

    absent: state of a condition without a pair. No Finding is positive if no condition except Support Devices is
    positive or uncertain (CheXpert's rule), otherwise `nothing`."""
    rank = {LabelState.BLANK: 0, LabelState.NEGATIVE: 1, LabelState.UNCERTAIN: 2, LabelState.POSITIVE: 3}
    merged = dict.fromkeys(PATHOLOGIES, absent)
    for condition, state in states:
        if rank[state] >= rank[merged[condition]]:
            merged[condition] = state
    found = (LabelState.POSITIVE, LabelState.UNCERTAIN)
    clean = not any(merged[condition] in found for condition in PATHOLOGIES if condition != "Support Devices")
    return (*(int(merged[c]) for c in PATHOLOGIES), int(LabelState.POSITIVE if clean else nothing))


def truth_of(findings: Iterable[Finding]) -> Labels:
    """The 14 states that a film with these findings shows: positive, uncertain (faint) or negative, never blank."""
    pairs = ((finding.condition, finding.state) for finding in findings)
    return merge_states(pairs, LabelState.NEGATIVE, LabelState.NEGATIVE)
