"""`fedmrg read RUN_ID [RUN_ID ..]`: film, reference and the reports of every run side by side, on one page.

    fedmrg read RUN_ID RUN_ID RUN_ID --out reader.html

The page is one file that needs no server. Runs of private or credentialed data are refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.run.options import CACHE, RUNS, Options

STUDIES = 40


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg read`."""
    parser.add_argument("run_id", nargs="+", metavar="RUN_ID", help="finished runs of one seed on the same data")
    parser.add_argument("--out", metavar="FILE", type=Path, default=Path("reader.html"), help="default: reader.html")
    parser.add_argument("--studies", metavar="N", type=int, default=STUDIES, help=f"test studies (default: {STUDIES})")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the runs (default: runs/)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of prepared films (default: .cache/)")


def main(args: argparse.Namespace) -> int:
    """Write the page and say what is on it."""
    from benchmark.reading.render import render
    from benchmark.reading.runs import load
    from benchmark.reading.studies import reported_studies
    from benchmark.scoring.outputs import messages
    from fedmrg_core.errors import in_range
    from fedmrg_core.files import check_output, output

    in_range("--studies", args.studies, 1)
    check_output(args.out)
    runs, federation = load(args.run_id, Options(runs=args.runs, cache=args.cache))
    studies = reported_studies(runs, federation)
    page = render(runs, federation, studies, args.studies)
    with output(args.out) as stream:
        stream.write(page.html.decode())
    size = f"{len(page.html) / 1e6:.2f} MB"
    print(f"{args.out}: {page.studies} of {len(studies)} studies, runs: {len(runs)}, {size}", file=messages([args.out]))
    return 0
