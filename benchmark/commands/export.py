"""`fedmrg export RUN_ID DIR`: a trained model as files that transformers and peft read, with a model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.run.options import RUNS, Options
from fedmrg_core.errors import ConfigError


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg export`."""
    parser.add_argument("run_id", metavar="RUN_ID", help="a finished run, as `fedmrg runs` lists it")
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder to write: new or empty")
    parser.add_argument("--hospital", metavar="H", default="", help="its own model (default: the shared one)")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the runs (default: runs/)")


def main(args: argparse.Namespace) -> int:
    """Write the folder and say what is in it."""
    if args.folder.exists() and (not args.folder.is_dir() or any(args.folder.iterdir())):
        raise ConfigError(f"{args.folder} exists and is not an empty folder: name a new one.")
    from benchmark.run.export import export
    from benchmark.run.trained import load_trained

    export(load_trained(args.run_id, args.hospital, Options(runs=args.runs)), args.folder)
    for path in sorted(path for path in args.folder.rglob("*") if path.is_file()):
        print(f"{path.stat().st_size:>12,} bytes  {path.relative_to(args.folder)}")
    return 0
