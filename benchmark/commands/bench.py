"""One experiment, from a config to a scored, stored result: `fedmrg bench --algo fedmrg`.

The smallest run: `fedmrg bench --algo fedavg --split phantom/ci --rounds 1 --actors 0`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from benchmark.run import settings
from benchmark.run.options import Options
from benchmark.run.path_with_spaces import avoid_blanks
from benchmark.run.settings import Config
from fedmrg_core.errors import ConfigError, choose
from fedmrg_core.runfolder import CONFIG, RunFolder, read_json, run_folder

DEFAULT = "fedmrg"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg bench`."""
    add = parser.add_argument
    add("--algo", metavar="NAME", help=f"algorithm: {', '.join(settings.algorithm_names())} (default: {DEFAULT})")
    add("--split", metavar="NAME", help="data set and split, as in splits/ (default: phantom/group)")
    add("--preset", metavar="NAME", help=f"model and budget: {', '.join(settings.preset_names())} (default: tiny)")
    add("--seed", metavar="N", type=int, help="whole number from 0 (default: 0)")
    add("--rounds", metavar="N", type=int, help="federated rounds (default: the preset's)")
    add("--clients", metavar="N", type=int, help="keep the first N seen hospitals (default: all)")
    add("--actors", metavar="N", type=int, help="Ray worker processes; 0 = all in this process (default: 2)")
    add("--data", metavar="DIR", default="", help="folder of a real data set (default: none, phantom makes its own)")
    add("--faults", metavar="FILE", default="", help="TOML: what to do about failing clients, and faults to inject")
    add("--resume", metavar="RUN_ID", default="", help="continue a run as it was begun (--actors may change)")
    add("--set", metavar="K=V", nargs="+", action="extend", default=[], help="any setting of defaults.toml")
    add("--hospitals", action="store_true", help="a line of scores per hospital below the table")
    add("--tuned", action="store_true", help="with the settings that `fedmrg tune` chose")
    add("--quiet", action="store_true", help="no progress and no table")
    add("--json", action="store_true", help="print result.json on stdout instead of the table")


def main(args: argparse.Namespace) -> int:
    """Run one experiment from the command line."""
    avoid_blanks()
    options = Options(quiet=args.quiet, resume=args.resume)
    if not args.quiet and sys.stderr.isatty():
        print("fedmrg: starting", file=sys.stderr, flush=True)  # the imports of the settings take seconds
    config = _stored_config(options, args) if args.resume else _config(args)
    result = RunFolder(options.runs / args.resume).finished() if args.resume else None
    if result:
        print(f"run {args.resume} has finished already; this is its result", file=sys.stderr)
    else:
        from benchmark.run.experiment import run_experiment

        result = run_experiment(config, options)
    if args.json:
        print(json.dumps(result, indent=1))
    elif not args.quiet:
        from benchmark.run.score_table import board_rows, hospital_table, next_steps, score_table

        by_hospital = [hospital_table(result)] if args.hospitals else []
        print(score_table(result, board_rows(result)), *by_hospital, next_steps(result), sep="\n\n")
    folder = options.runs / result["run_id"]
    print(f"result: {_short(folder)}/result.json", file=sys.stderr if args.json else sys.stdout)
    return 0


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _config(args: argparse.Namespace) -> Config:
    given = {"train.rounds": args.rounds, "run.clients": args.clients, "engine.actors": args.actors}
    overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
    if args.data:
        overrides.append(f"data.path={Path(args.data).expanduser().resolve()}")
    if args.data and (args.split or "").startswith("phantom/"):
        raise ConfigError(f"--split {args.split} makes its own data: leave out --split, or --data.")
    if args.split and not any(override.startswith(("data.path=", "path=")) for override in overrides + args.set):
        from fedmrg_core.data.splits.split_file import names

        choose("split", args.split, names())  # before torch is imported, which takes seconds
    split = args.split or ("manifest" if args.data else None)
    config = settings.load(args.algo or DEFAULT, split, args.preset, args.seed, overrides + args.set, args.tuned)
    if not args.faults:
        return config
    from fedmrg_core.engine.failures import read_table

    return replace(config, faults=read_table(Path(args.faults)))


def _stored_config(options: Options, args: argparse.Namespace) -> Config:
    """The settings that the run began with; only the number of actors, which changes no result, may be another."""
    for name in ("algo", "split", "preset", "seed", "rounds", "clients", "data", "faults", "set"):
        if getattr(args, name) not in (None, "", []):
            raise ConfigError(f"--resume goes on with the run's own settings, but for --actors: leave out --{name}.")
    stored = read_json(run_folder(options.runs, options.resume) / CONFIG)
    try:
        config = settings.from_dict(stored)
    except ConfigError as error:
        raise ConfigError(f"run {options.resume} cannot be continued: {error} Begin it again.") from None
    return config if args.actors is None else replace(config, pool=replace(config.pool, actors=args.actors))
