"""`fedmrg doctor [DATA]`: what is there, what that enables, and what to do for the rest."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmark.options import CACHE
from fedmrg_core.errors import FedMRGError

Line = tuple[str, bool, str]
"""(what, whether it is there, what follows or what to do)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg doctor`."""
    parser.add_argument(
        "data", nargs="?", default="", metavar="DATA", help="folder of a data set to look at (optional)"
    )


def main(args: argparse.Namespace) -> int:
    """Print one line a thing; 1 where the data folder that was asked about cannot be used."""
    lines = [*_machine(), *(_data(Path(args.data)) if args.data else ())]
    for what, there, text in lines:
        print(f"{'yes' if there else 'no':<4}{what:<12}{text}")
    return int(any(not there for what, there, _ in lines if what == "data"))


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


def _data(root: Path) -> Iterator[Line]:
    from benchmark.splits_cmd import settings
    from fedmrg_core.data import sources

    try:
        kind = sources.detect(root)
        split = sources.DEFAULT_SPLIT.get(kind, "manifest")
        source = sources.open_dataset(kind, settings(str(root)), 0)
        count, left_out = len(source.studies()), sum(source.notes.values())
    except FedMRGError as error:
        yield "data", False, str(error)
        return
    yield "data", True, f"{kind}: {count} studies, {left_out} notes; fedmrg bench --data {root} --split {split}"
