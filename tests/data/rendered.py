"""Phantom films under the real IU X-ray file names, drawn from the labels of the real reports: stand-ins, so that the
whole bench runs on real IU text where the films are not to be had. Call any result made so `rendered`.

    python tests/data/rendered.py ../shared/data/iu_xray OUT          # a Kaggle-layout data root in OUT
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from benchmark.commands.splits import settings
from fedmrg_core.data.phantom.config import PhantomConfig
from fedmrg_core.data.phantom.film import draw_body, expose, hospital_apparatus
from fedmrg_core.data.phantom.findings import PATHOLOGIES, Finding
from fedmrg_core.data.phantom.population import draw_finding
from fedmrg_core.data.readers.iu_xray import IUXraySource
from fedmrg_core.seeding import derive_seed, generator
from fedmrg_core.types import LabelState, Study

TEXT = ("indiana_reports.csv", "indiana_projections.csv", "acquisition.csv")


def kaggle_root(text: Path, root: Path, only: Sequence[str] | None = None, size: int = 64) -> Path:
    """A data root in Kaggle's layout: the real CSV files of `text` and a film for each study (or for `only`)."""
    films = root / "images" / "images_normalized"
    films.mkdir(parents=True)
    for name in TEXT:
        shutil.copy(text / name, root / name)
    source = IUXraySource(root, settings(str(root)))
    metadata = source.metadata()
    chosen = None if only is None else set(only)
    for study in source.studies():
        if chosen is None or study.study_id in chosen:
            system = derive_seed("acquisition", metadata[study.study_id]["acquisition"]) % 5
            render(study, system, size).save(films / Path(study.image).name)
    return root


def render(study: Study, system: int, size: int) -> Image.Image:
    """One film that shows what the report states; `system` (0 to 4) chooses the apparatus."""
    config = PhantomConfig.load()
    rng = generator("rendered", study.study_id)
    apparatus = hospital_apparatus(config, 0, system)
    return Image.fromarray(expose(draw_body(findings(study), apparatus, config.film, rng, rng, size), apparatus, rng))


def findings(study: Study) -> tuple[Finding, ...]:
    """What is drawn: each condition that the report states, faintly where it is uncertain."""
    rng, config = generator("rendered findings", study.study_id), PhantomConfig.load()
    stated = [
        (name, state)
        for name, state in zip(PATHOLOGIES, study.labels, strict=False)
        if state in (LabelState.POSITIVE, LabelState.UNCERTAIN)
    ]
    drawn = [(draw_finding(name, config.case_mix, 0.0, rng), state) for name, state in stated]
    return tuple(replace(finding, faint=state == LabelState.UNCERTAIN) for finding, state in drawn)


if __name__ == "__main__":
    print(kaggle_root(Path(sys.argv[1]), Path(sys.argv[2])))
