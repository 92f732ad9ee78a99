"""`PhantomSource`, the hospitals of one draw, and `PublicCorpus`, films and reports that belong to no hospital."""

from __future__ import annotations

import hashlib
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.phantom.config import PhantomConfig
from fedmrg_core.data.phantom.film import (
    RENDERER,
    Apparatus,
    draw_body,
    expose,
    hospital_apparatus,
    public_apparatus,
)
from fedmrg_core.data.phantom.findings import truth_of
from fedmrg_core.data.phantom.population import Plan, plan_hospital
from fedmrg_core.data.phantom.public import plan_public, public_report
from fedmrg_core.data.phantom.reporting import Habits, Report, hospital_habits, write_report
from fedmrg_core.data.source import fingerprint_studies
from fedmrg_core.errors import DataError
from fedmrg_core.hashes import code_sha256, json_sha256
from fedmrg_core.paths import ROOT
from fedmrg_core.seeding import generator
from fedmrg_core.types import Labels, Study

SHARED = ("data/source.py", "seeding.py", "types.py")
"""Files outside this folder that decide what is written and drawn."""


@cache
def _program() -> list[str]:
    """Hashes of the files that decide what is written and drawn; comments and docstrings do not count."""
    own = sorted(Path(__file__).parent.iterdir())
    files = [*own, *(ROOT / "fedmrg_core" / name for name in SHARED)]
    texts = {path: path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".toml")}
    return [code_sha256(text) if path.suffix == ".py" else json_sha256(text) for path, text in texts.items()]


class _Films:
    """What both sources share: plans and reports in, studies, films, truth and fingerprint out."""

    credentialed = partial = False
    generated = True
    num_studies = 0

    def __init__(self, config: PhantomConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self.version = config.version
        self.left_out: dict[str, int] = {}

    @cached_property
    def _written(self) -> dict[str, tuple[Plan, Report]]:
        return {plan.study_id: (plan, report) for plan, report in sorted(self._write(), key=lambda p: p[0].study_id)}

    @cached_property
    def _studies(self) -> list[Study]:
        return [
            Study(plan.study_id, plan.patient_id, plan.study_id, report.text, report.labels, plan.hospital)
            for plan, report in self._written.values()
        ]

    def _write(self) -> list[tuple[Plan, Report]]:
        raise NotImplementedError

    def _apparatus(self, plan: Plan) -> Apparatus:
        raise NotImplementedError

    def _entry(self, study: Study) -> tuple[Plan, Report]:
        entry = self._written.get(study.study_id)
        if entry is None:
            raise DataError(f"the phantom has no study '{study.study_id}' in draw {self.seed}.")
        return entry

    def studies(self) -> list[Study]:
        """Every study, sorted by study id."""
        return list(self._studies)

    def plan(self, study: Study) -> Plan:
        """What is drawn on a study's film."""
        return self._entry(study)[0]

    def report(self, study: Study) -> Report:
        """The study's report with its sentences and what each states."""
        return self._entry(study)[1]

    def truth(self, study: Study) -> Labels:
        """What the film shows: 14 states, positive, negative or uncertain (drawn faintly), never blank. The study's
        own `labels` are what its report states, blank where it is silent."""
        return truth_of(self.plan(study).findings)

    def image(self, study: Study, size: int) -> NDArray[np.uint8]:
        """The film, grey, uint8 [size, size], rendered at that size; a function of draw, study and size alone."""
        plan = self.plan(study)
        patient = generator("phantom", self.seed, "anatomy", plan.patient_id)
        rng = generator("phantom", self.seed, "film", plan.study_id)
        apparatus = self._apparatus(plan)
        return expose(draw_body(plan.findings, apparatus, self.config.film, patient, rng, size), apparatus, rng)

    def image_key(self, study: Study) -> str:
        """SHA-256 over all that a film follows from."""
        plan = self.plan(study)
        parts = (self.version, RENDERER, self.seed, plan, self._apparatus(plan), self.config.film)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def has_films(self) -> bool:
        """Always: they are drawn."""
        return True

    def recipe(self) -> str:
        """Hash of what the fingerprint follows from: program, version of numpy, settings, draw. It takes no drawing."""
        what = (type(self).__name__, self.num_studies, self.seed, repr(self.config))
        return json_sha256([*what, np.__version__, _program()])

    def fingerprint(self) -> str:
        """SHA-256 over ids, texts, labels and what every film follows from."""
        return fingerprint_studies(self._studies, (self.image_key(study) for study in self._studies))


class PhantomSource(_Films):
    """The hospitals of draw `seed`: `Study.hospital` is where the study was made ("h01" ..); `config.unseen` names the
    hospitals that take no part in training. Every draw has its own hospitals, patients, films and reports."""

    name = "phantom"

    @cached_property
    def habits(self) -> dict[str, Habits]:
        """Each hospital's reporting habits."""
        return {h: hospital_habits(self.config, self.seed, i) for i, h in enumerate(self.config.hospitals)}

    @cached_property
    def apparatus(self) -> dict[str, Apparatus]:
        """Each hospital's image characteristics."""
        return {h: hospital_apparatus(self.config, self.seed, i) for i, h in enumerate(self.config.hospitals)}

    def _apparatus(self, plan: Plan) -> Apparatus:
        return self.apparatus[plan.hospital]

    def _write(self) -> list[tuple[Plan, Report]]:
        plans = [p for i in range(len(self.config.sizes)) for p in plan_hospital(self.config, self.seed, i)]
        return [(plan, self._report(plan)) for plan in plans]

    def _report(self, plan: Plan) -> Report:
        rng = generator("phantom", self.seed, "report", plan.study_id)
        return write_report(self.habits[plan.hospital], plan.findings, rng)


class PublicCorpus(_Films):
    """`num_studies` films and reports of no hospital: films of one reference apparatus (`shift.public`), conditions
    about equally often, every wording of the grammar used in turn. Its patients and studies are nobody else's."""

    name = "public"

    def __init__(self, config: PhantomConfig, num_studies: int, seed: int) -> None:
        super().__init__(config, seed)
        self.num_studies = num_studies

    def _apparatus(self, plan: Plan) -> Apparatus:
        return public_apparatus(self.config, generator("phantom", self.seed, "public apparatus", plan.study_id))

    def _write(self) -> list[tuple[Plan, Report]]:
        plans = plan_public(self.config, self.num_studies, self.seed)
        return public_report(self.config, plans, self.seed)
