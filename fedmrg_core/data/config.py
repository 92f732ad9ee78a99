"""The `[data]` section of the configuration; the default values are in benchmark/configs/defaults.toml."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.errors import choose, in_range


@dataclass(frozen=True)
class DataConfig:
    """How real data is read. A frozen record of settings; no field has a default here.

    path: the data root (`DATA=`); "" where the split makes its own data (phantom).
    on_bad: "stop" ends the run before training at the first bad row; "skip" leaves bad rows out and counts them.
    small: "refuse" a hospital under 10 studies, or "merge" all such hospitals into one, called `merged`.
    unseen: names of hospitals that take no part in training, separated by commas; for manifests.
    deal: number of hospitals that a manifest without a `hospital` column is dealt into where CLIENTS is not given.
    dedup: keep each group of near-duplicate reports inside one part (train, val or test).
    impression: a report is its findings and, after them, its impression where it has one; false: its findings. A study
        without findings is left out either way.
    private: treat the reports as those of a credentialed source.
    allow_text: let report text of a credentialed source (MIMIC-CXR, CheXpert Plus) into results. Only where the
        data use agreement allows it.
    """

    path: str
    on_bad: str
    small: str
    unseen: str
    deal: int
    dedup: bool
    impression: bool
    private: bool
    allow_text: bool

    def __post_init__(self) -> None:
        choose("data.on_bad", self.on_bad, ("stop", "skip"))
        choose("data.small", self.small, ("refuse", "merge"))
        in_range("data.deal", self.deal, 1)

    @property
    def unseen_names(self) -> tuple[str, ...]:
        """The hospitals named in `unseen`, without blanks."""
        return tuple(name.strip() for name in self.unseen.split(",") if name.strip())
