"""`fedmrg regress`: has a change moved a number? Runs suite `gate`, compares it with `leaderboards/expected/gate.json`.

Exit code 1: a number moved too far. 3: it could not run. `--update` renews the expectations, from a clean tree only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.run.options import CACHE
from fedmrg_core.errors import FedMRGError, Interrupted, first_line
from fedmrg_core.files import check_output, write_atomic
from fedmrg_core.paths import ROOT

if TYPE_CHECKING:
    from benchmark.gate.expectations import Measured
    from benchmark.gate.report import Report
    from benchmark.gate.rounding import Variant

SUITE = "gate"
MOVED, COULD_NOT_RUN = 1, 3


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg regress`."""
    add = parser.add_argument
    add("--suite", default=SUITE, help=f"a suite of benchmark/configs/suites/ (default: {SUITE})")
    add("--expected", type=Path, metavar="FILE", help="(default: leaderboards/expected/SUITE.json)")
    add("--junit", type=Path, metavar="FILE", help="also write the outcome as JUnit XML")
    add("--markdown", type=Path, metavar="FILE", help="also append the outcome as Markdown")
    add("--update", action="store_true", help="renew the expectations and their spread (refused on a dirty tree)")
    add("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="update: variants side by side")
    add("--numbers", type=Path, metavar="FILE", help="only write this machine's numbers, for --also elsewhere")
    add("--also", type=Path, nargs="+", default=[], metavar="FILE", help="update: numbers of other machines")
    add("--last-bits", type=int, default=0, metavar="N", help="numbers: move each weight of the base by its last bit")
    add("--cache", type=Path, default=CACHE, help="folder of the cache (default: .cache/)")


def main(args: argparse.Namespace) -> int:
    """Compare; or renew the expectations; or only measure."""
    args.expected = args.expected or ROOT / "leaderboards" / "expected" / f"{args.suite}.json"
    try:
        return _run(args)
    except Interrupted:
        raise
    except FedMRGError as error:
        reason = str(error)
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {first_line(error)}"
    from benchmark.gate.report import Report

    _say(args, Report(error=reason))
    return COULD_NOT_RUN


def _run(args: argparse.Namespace) -> int:
    for file in filter(None, (args.junit, args.markdown, args.numbers)):
        check_output(file)
    if args.numbers:
        from benchmark.gate.expectations import as_text
        from benchmark.gate.measure import Inputs, measure_suite

        write_atomic(args.numbers, as_text(measure_suite(args.suite, Inputs(args.cache), args.last_bits)).encode())
        return 0
    if args.update:
        return update(args)
    report = compare(args)
    _say(args, report)
    return MOVED if report.far else 0


def compare(args: argparse.Namespace) -> Report:
    """The suite's numbers against the expectations. If a base has another key, that is all that is said: without the
    base of the expectations, every number is another one."""
    from benchmark.gate import compare
    from benchmark.gate.expectations import read
    from benchmark.gate.measure import Inputs, measure_suite
    from benchmark.gate.report import Report
    from benchmark.suites import plan

    if not args.expected.exists():
        raise FedMRGError(f"{args.expected} does not exist; `fedmrg regress --update` makes it")
    expected, inputs = read(args.expected), Inputs(args.cache)
    configs = {task.name: task.config() for task in plan.read(args.suite)}
    keys = {name: inputs.base_key(config) for name, config in configs.items()}
    moves = compare.other_bases(expected, keys)
    machines: Sequence[str] = ()
    note = "nothing was run: the settings, corpus or warm-up code of the base changed, and with it every number"
    if not moves:
        now = measure_suite(args.suite, inputs)
        moves, machines, note = compare.compare(expected, now), compare.other_facts(expected, now), ""
    runs = list({**expected.runs, **dict.fromkeys(configs)})
    return Report(expected.facts["git_sha"], machines, runs, moves, note=note)


def update(args: argparse.Namespace) -> int:
    """Measure the suite and the variants of rounding, and write the expectations."""
    from benchmark.gate.expectations import as_text, read, with_spread
    from benchmark.gate.rounding import VARIANTS

    refuse_dirty()
    args.expected.parent.mkdir(parents=True, exist_ok=True)
    check_output(args.expected)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(max(1, args.jobs)) as threads:
        plain = threads.submit(_measured, args, Path(folder), None)
        others = {variant.name: threads.submit(_measured, args, Path(folder), variant) for variant in VARIANTS}
        variants = {name: future.result() for name, future in others.items()}
        measured = plain.result()
    variants |= {f"machine of {path.name}": read(path) for path in args.also}
    write_atomic(args.expected, as_text(with_spread(measured, variants)).encode())
    print(f"renewed {args.expected.name}: {len(measured.runs)} runs, spread of {len(variants)} variants")
    return 0


def _measured(args: argparse.Namespace, folder: Path, variant: Variant | None) -> Measured:
    """The suite's numbers from a process of its own: kernels are chosen before torch is imported."""
    from benchmark.gate.expectations import read

    name = variant.name if variant else "plain"
    file = folder / f"{name}.json"
    command = [sys.executable, "-m", "benchmark.cli", "regress", "--suite", args.suite, "--numbers", str(file)]
    command += ["--cache", str(args.cache), "--last-bits", str(variant.last_bits if variant else 0)]
    environment = {**os.environ, **(variant.environment if variant else {})}
    print(f"measuring: {name}", file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise FedMRGError(f"measuring ({name}) ended with: {first_line(done.stdout or done.stderr, last=True)}")
    return read(file)


def refuse_dirty() -> None:
    """Expectations belong to a commit: raise FedMRGError if the tree has uncommitted changes."""
    from benchmark.run import provenance

    if provenance.collect(ROOT, "cpu")["dirty"]:
        raise FedMRGError("the tree has uncommitted changes: commit first, then renew the expectations")


def _say(args: argparse.Namespace, report: Report) -> None:
    """Print the outcome and write it where it is asked for; Markdown is appended, as GitHub's step summary is."""
    from benchmark.gate.report import as_junit, as_markdown, as_text

    print(as_text(report))
    if args.junit:
        write_atomic(args.junit, as_junit(report).encode())
    if args.markdown:
        with args.markdown.open("a", encoding="utf-8") as stream:
            stream.write(as_markdown(report))
