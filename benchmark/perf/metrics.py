"""All text metrics side by side with the libraries' own calls, on the same report pairs.

    python -m benchmark.perf.metrics indiana_reports.csv --column findings --json metrics.json

Pairs are drawn at random from a column of reports. Every measurement is a process of its own with one thread, and
they take turns, so that what else the machine does hits them alike. `ours` is BLEU-1..4, METEOR, ROUGE-L and CIDEr
under both text conventions and rouge-score's three, per study and ready to be resampled; `ours, first` is the same
before METEOR's table is cut for these words; the rest are single calls of the reference libraries, on tokenised text.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.scoring.report_table import read_table
from fedmrg_core.files import write_atomic

Pairs = list[tuple[str, str]]
OURS, FIRST = "ours", "ours, first"


def draw(file: Path, column: str, count: int) -> Pairs:
    """`count` random (reference, hypothesis) pairs of the reports that are not empty."""
    from fedmrg_core.seeding import generator

    reports = [text for text in read_table(file, (column,))[column] if text.strip()]
    rows = generator(0, "pairs").integers(0, len(reports), size=(count, 2))
    return [(reports[a], reports[b]) for a, b in rows]


def ours(pairs: Pairs) -> None:
    from fedmrg_core.metrics import nlg
    from fedmrg_core.metrics.text import CONVENTIONS

    references, hypotheses = (list(texts) for texts in zip(*pairs, strict=True))
    _, missing = nlg.measures(references, hypotheses, ["all"] * len(pairs), CONVENTIONS)
    if missing:
        raise RuntimeError(str(missing))


def coco(name: str) -> Callable[[Pairs], None]:
    """A scorer of pycocoevalcap, on tokens."""

    def call(pairs: Pairs) -> None:
        scorer = getattr(import_module(f"pycocoevalcap.{name.lower()}.{name.lower()}"), name)()
        tables = ({i: [pair[side]] for i, pair in enumerate(pairs)} for side in (0, 1))
        scorer.compute_score(*tables)

    return call


def ptb(pairs: Pairs) -> None:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    for side in (0, 1):
        PTBTokenizer().tokenize({i: [{"caption": pair[side]}] for i, pair in enumerate(pairs)})


def rouge_score(pairs: Pairs) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeLsum"])
    for reference, hypothesis in pairs:
        scorer.score(reference, hypothesis)


CASES: dict[str, Callable[[Pairs], None]] = {
    OURS: ours,
    FIRST: ours,
    "METEOR": coco("Meteor"),
    "BLEU": coco("Bleu"),
    "ROUGE-L": coco("Rouge"),
    "CIDEr": coco("Cider"),
    "PTB tokenizer": ptb,
    "rouge-score": rouge_score,
}


def child(case: str, file: Path) -> None:
    """Run one case on stored pairs and print its seconds; imports and reading are not counted."""
    for module in ("fedmrg_core.metrics.nlg", "pycocoevalcap.meteor.meteor", "rouge_score.rouge_scorer"):
        import_module(module)
    stored = json.loads(file.read_text())
    pairs = [tuple(pair) for pair in stored["texts" if case in (OURS, FIRST, "rouge-score") else "tokens"]]
    start = time.perf_counter()
    CASES[case](pairs)
    print(f"\n{time.perf_counter() - start}")


def measure(case: str, file: Path, cache: Path) -> float:
    """Seconds of one case, in a process of its own."""
    with tempfile.TemporaryDirectory() as empty:
        settings = {"OMP_NUM_THREADS": "1", "FEDMRG_CACHE": empty if case == FIRST else str(cache)}
        command = [sys.executable, "-m", "benchmark.perf.metrics", str(file), "--case", case]
        done = subprocess.run(
            command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=900, check=True
        )
    return float(done.stdout.strip().splitlines()[-1])


def table(seconds: dict[str, list[float]]) -> str:
    """Markdown: median and range of each case, and how often it goes into ours."""
    whole = statistics.median(seconds[OURS])
    lines = ["| what | seconds | ours / it |", "|---|---:|---:|"]
    for case, values in seconds.items():
        middle = statistics.median(values)
        lines.append(f"| {case} | {middle:.1f} ({min(values):.1f} to {max(values):.1f}) | {whole / middle:.2f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, and with --json write every second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="CSV, JSON lines or Parquet with a column of reports")
    parser.add_argument("--column", default="report", help="name of the column (report)")
    parser.add_argument("--pairs", type=int, default=3000, help="pairs to score (3000)")
    parser.add_argument("--times", type=int, default=3, help="processes a case (3)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every measurement to this file")
    parser.add_argument("--case", choices=tuple(CASES), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.case:
        child(args.case, args.file)
        return 0
    seconds = run(draw(args.file, args.column, args.pairs), args.times)
    print(f"{args.pairs} pairs\n\n{table(seconds)}")
    if args.json:
        content: dict[str, Any] = {"pairs": args.pairs, "cpus": os.cpu_count(), "seconds": seconds}
        write_atomic(args.json, (json.dumps(content, indent=1) + "\n").encode())
    return 0


def run(pairs: Pairs, times: int) -> dict[str, list[float]]:
    """Seconds of every case, `times` each, in turn."""
    from fedmrg_core.metrics.nlg import tokenise

    seconds: dict[str, list[float]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        file, cache = Path(folder) / "pairs.json", Path(folder) / "cache"
        file.write_text(json.dumps({"texts": pairs, "tokens": tokenise(pairs, "r2gen")}))
        measure(OURS, file, cache)  # METEOR's table is cut once for these words
        for _ in range(times):
            for case in CASES:
                seconds[case].append(measure(case, file, cache))
    return seconds


if __name__ == "__main__":
    sys.exit(main())
