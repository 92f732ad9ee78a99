"""`fedmrg doctor [DATA]`: what this machine and a data folder have, what that enables, and what to do for the rest."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmark.run.options import CACHE
from fedmrg_core.errors import FedMRGError, one_line

Line = tuple[str, bool, str]
"""(what, whether it was found, what follows or what to do)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg doctor`."""
    parser.add_argument(
        "data", nargs="?", default="", metavar="DATA", help="folder of a data set to look at (optional)"
    )


def main(args: argparse.Namespace) -> int:
    """Print one line per thing; 1 where the given data folder cannot be trained on."""
    lines = [*_machine(), *(_data(Path(args.data)) if args.data else _no_data())]
    for what, there, text in lines:
        print(f"{'yes' if there else 'no':<4}{what:<12}{one_line(text, 4000)}")
    return int(bool(args.data) and any(not there for what, there, _ in lines if what in ("data", "films")))


def _machine() -> Iterator[Line]:
    import torch

    gpu = torch.cuda.is_available()
    bits = f"{torch.cuda.get_device_name()}: used by default" if gpu else "runs on the CPU, with reproducible bits"
    yield "GPU", gpu, bits
    java = shutil.which("java") is not None
    yield (
        "Java",
        java,
        "METEOR and the ptb scores" if java else "no METEOR, no ptb scores; install a Java runtime for them",
    )
    ray = importlib.util.find_spec("ray") is not None
    address = os.environ.get("RAY_ADDRESS")
    yield "Ray", ray, f"joins {address}" if address else f"a private instance; {os.cpu_count()} cores here"
    bases = len(list((CACHE / "bases").glob("*/base.json")))
    text = f"{bases} in the cache" if bases else "none yet; the first run warms one up (minutes, once)"
    yield "warm base", bases > 0, text
    yield "labeler", True, "rules; CheXbert's needs its weights: fedmrg bench --set labeler=chexbert --set weights=FILE"


def _no_data() -> Iterator[Line]:
    yield "phantom", True, "made from a seed: make bench ALGO=fedmrg"
    yield "data", False, "no folder given; fedmrg doctor DATA looks at one, docs/data.md says where to get what"


def _data(root: Path) -> Iterator[Line]:
    from benchmark.commands.splits import settings
    from fedmrg_core.data.cache.prepare import checked_assignment
    from fedmrg_core.data.plan import plan_for, split_name

    try:
        data = settings(str(root))
        name = split_name("phantom/group", data)
        plan = plan_for(data, name, 0, None)
        studies, assignment = checked_assignment(plan)
    except FedMRGError as error:
        yield "data", False, str(error)
        return
    notes = ", ".join(f"{reason} {count}" for reason, count in sorted(plan.source.left_out.items()))
    hospitals = f"{len(assignment.hospitals)} hospitals, {len(assignment.unseen)} of them unseen"
    yield "data", True, f"{plan.source.name}: {len(studies)} studies, {hospitals}; counted: {notes or 'nothing'}"
    if not plan.source.has_films():
        where = "docs/data.md says where to get them; the text alone can be verified and described"
        yield "films", False, f"none found, such as '{studies[0].image.removeprefix('./')}'; {where}"
        return
    try:
        plan.source.image(studies[0], 64)
    except FedMRGError as error:
        yield "films", False, str(error)
        return
    split = "" if name.startswith("manifest/") else f" SPLIT={name}"
    yield "films", True, f"the first can be read; make bench ALGO=fedmrg DATA={root}{split}"
