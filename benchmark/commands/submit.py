"""`fedmrg submit RUN_ID`: a finished run as a row of its board, written for a pull request."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmark.board.comparable import most_common, ranked, reason
from benchmark.board.results import Result, bench_version, board_id, committed_text, load, result_path
from benchmark.board.schema import problem
from benchmark.board.study_values import commit_values, read, values_path
from benchmark.board.submission import LICENCES, sealed
from benchmark.run.options import BENCH_VERSION
from fedmrg_core.errors import ConfigError, DataError
from fedmrg_core.files import write_atomic
from fedmrg_core.paths import ROOT
from fedmrg_core.runfolder import RESULT, RunFolder, run_folder


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg submit`."""
    parser.add_argument("run_id", help="a finished run in runs/")
    parser.add_argument("--licence", choices=LICENCES, default=LICENCES[0], help="of the result (default: Apache-2.0)")
    parser.add_argument("--again", action="store_true", help="replace the committed result of this row and seed")
    parser.add_argument("--root", type=Path, default=ROOT, help="project folder (default: this checkout)")


def main(args: argparse.Namespace) -> int:
    """Check the run, write its result and the values of its studies, and say what to do with them."""
    folder = run_folder(args.root / "runs", args.run_id)
    result = RunFolder(folder).finished_result()
    wrong = problem(result)
    if wrong:
        raise DataError(f"is not a result: {wrong}", file=str(folder / RESULT))
    _check(result)
    path = result_path(result, args.root)
    if path.exists() and not args.again:
        raise ConfigError(f"{path.relative_to(args.root)} is committed already; --again replaces it.")
    finished = (other for other in load(args.root) if other["status"] == "finished")
    others = [other for other in finished if board_id(other) == board_id(result)]
    commit_values(result, folder, args.root)
    committed = json.loads(committed_text(result))
    read(committed, args.root)  # refuses values that do not give the scores
    values = values_path(result, args.root)
    write_atomic(path, committed_text(sealed(committed, args.licence, values)).encode())
    written = [one for one in (path, values) if one.exists()]
    print("\n".join(str(one.relative_to(args.root)) for one in written))
    alike = ranked(others, most_common(others))
    why = reason(result, alike) if alike else ""
    print(f"It will be shown, but not ranked: {why}" if why else "It will be ranked with the other rows of its board.")
    print("Next: make leaderboard, commit these files and the pages, and open a pull request.")
    return 0


def _check(result: Result) -> None:
    """Raise ConfigError where a result may not be on a board: changed code, an old version, text that is private."""
    facts = result["provenance"]
    if facts.get("dirty", True):
        raise ConfigError(
            f"run {result['run_id']} was made by code with uncommitted changes: commit them and run it again."
        )
    if bench_version(result) != str(BENCH_VERSION):
        raise ConfigError(f"run {result['run_id']} is of bench_version {bench_version(result)}, now {BENCH_VERSION}.")
