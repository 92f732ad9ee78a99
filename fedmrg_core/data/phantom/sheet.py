"""A contact sheet of the phantom, one row per hospital.

    python -m fedmrg_core.data.phantom.sheet --seed 0 --out docs/img/phantom_hospitals.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fedmrg_core.data.phantom.config import PhantomConfig
from fedmrg_core.data.phantom.findings import PATHOLOGIES
from fedmrg_core.data.phantom.source import PhantomSource
from fedmrg_core.types import CONDITIONS, LabelState, Study

SHOWN: tuple[str, ...] = ("No Finding", *(c for c in PATHOLOGIES))


def example(source: PhantomSource, hospital: str, condition: str) -> Study | None:
    """The hospital's plainest study of a condition: shown clearly, with as few other findings as can be."""
    index = CONDITIONS.index(condition)
    rows = [
        (sum(state == LabelState.POSITIVE for state in source.truth(study)), -_largest(source, study, condition), study)
        for study in source.studies()
        if study.hospital == hospital and source.truth(study)[index] == LabelState.POSITIVE
    ]
    return min(rows, key=lambda row: (row[0], row[1], row[2].study_id))[2] if rows else None


def _largest(source: PhantomSource, study: Study, condition: str) -> float:
    return max((f.size for f in source.plan(study).findings if f.condition == condition), default=0.0)


def contact_sheet(source: PhantomSource, out: Path, size: int = 128) -> None:
    """Write a PNG: hospitals down, conditions across; a gap where a hospital has no such film."""
    from PIL import Image, ImageDraw

    hospitals, margin, title = source.config.hospitals, 44, 34
    sheet = Image.new("L", (margin + len(SHOWN) * (size + 3), title + len(hospitals) * (size + 3)), 255)
    pen = ImageDraw.Draw(sheet)
    for column, condition in enumerate(SHOWN):
        pen.text((margin + column * (size + 3) + 3, 5), condition.replace(" ", "\n"), fill=0)
    for row, hospital in enumerate(hospitals):
        top = title + row * (size + 3)
        pen.text((8, top + size // 2 - 6), hospital + ("*" if hospital in source.config.unseen else ""), fill=0)
        for column, condition in enumerate(SHOWN):
            study = example(source, hospital, condition)
            if study is not None:
                sheet.paste(Image.fromarray(source.image(study, size)), (margin + column * (size + 3), top))
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)


def main() -> int:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description="Contact sheet of the phantom by hospital (* = unseen).")
    parser.add_argument("--seed", type=int, default=0, help="draw (default 0)")
    parser.add_argument("--size", type=int, default=100, help="pixels per film (default 100)")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    args = parser.parse_args()
    contact_sheet(PhantomSource(PhantomConfig.load(), args.seed), args.out, args.size)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
