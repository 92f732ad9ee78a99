"""Films a second beside plain Pillow, size of the film cache, and the loader's share of a training step.

    python -m benchmark.perf.films --json films.json

Films are drawn by the phantom at the sizes that people have (IU X-ray's PNG, MIMIC-CXR-JPG's JPEG) with grain, so that
they decode like film. Engines take turns over the same files; the first pass over them is not counted. Nothing of this
needs the internet.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.commands.splits import settings
from fedmrg_core.data.cache.films import Films, build_films
from fedmrg_core.data.images import read_film
from fedmrg_core.data.phantom import PhantomConfig, PhantomSource
from fedmrg_core.data.readers.manifest import ManifestSource
from fedmrg_core.files import write_atomic
from fedmrg_core.types import Study

MIMIC_FILMS = 377_110
"""Films of MIMIC-CXR-JPG 2.0.0."""
BATCH = 16


@dataclass(frozen=True)
class Case:
    """Files of one kind, and the size at which they are cached."""

    name: str
    suffix: str
    height: int
    width: int
    size: int


CASES = (
    Case("IU X-ray PNG", "png", 624, 512, 64),
    Case("IU X-ray PNG", "png", 624, 512, 224),
    Case("MIMIC-CXR-JPG", "jpg", 3056, 2544, 64),
    Case("MIMIC-CXR-JPG", "jpg", 3056, 2544, 224),
)


def draw(case: Case, folder: Path, count: int) -> list[Path]:
    """`count` films in files: eight drawn chests, each with grain of its own."""
    source = PhantomSource(PhantomConfig.load(), 0)
    chests = [source.image(study, 512) for study in source.studies()[:8]]
    rng = np.random.default_rng(0)
    paths = []
    for at in range(count):
        large = Image.fromarray(chests[at % 8]).resize((case.width, case.height), Image.Resampling.BICUBIC)
        grain = rng.normal(0, 2, (case.height, case.width))
        film = Image.fromarray(np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8))
        paths.append(folder / f"{at:05d}.{case.suffix}")
        film.save(paths[-1], quality=95)  # of JPEG; PNG has none
    return paths


def plain(path: Path, size: int) -> np.ndarray:
    """What one writes first: open, grey, resize."""
    with Image.open(path) as film:
        return np.asarray(film.convert("L").resize((size, size), Image.Resampling.BILINEAR))


class Folder(ManifestSource):
    """The files as a source whose studies are known: reading a manifest is no part of this."""

    def __init__(self, root: Path, paths: Sequence[Path]) -> None:
        super().__init__(root, settings(str(root)))
        self._studies = [Study(path.name, path.name, path.name, "r", (0,) * 14, "h") for path in paths]
        self.locations = {path.name: ("", 0) for path in paths}


def measure(case: Case, count: int, repeats: int) -> list[dict[str, Any]]:
    """A row an engine: films a second of processor time, whichever cores spent it, so that other work on the machine
    does not count; and of time on the clock."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "films").mkdir()
        paths = draw(case, root / "films", count)
        spent: dict[str, list[tuple[float, float]]] = {}
        for turn in range(repeats + 1):
            for name, work in _turns(case, paths, root / f"cache-{turn}").items():
                begin = time.process_time(), time.perf_counter()
                work()
                times = time.process_time() - begin[0], time.perf_counter() - begin[1]
                spent.setdefault(name, []).append(times)
        sizes = {
            "file_bytes": _mean_size(paths),
            "cache_bytes": sum(map(_size, root.glob("cache-0/*/*.arrow"))) / count,
        }
    rows = []
    for name, turns in spent.items():
        cpu, wall = (count / statistics.median(pair[at] for pair in turns[1:]) for at in (0, 1))
        rows.append({"files": case.name, "size": case.size, "engine": name, "cpu": cpu, "wall": wall, **sizes})
    return rows


def _turns(case: Case, paths: list[Path], cache: Path) -> dict[str, Callable[[], Any]]:
    source = Folder(paths[0].parent, paths)
    return {
        "plain Pillow": lambda: [plain(path, case.size) for path in paths],
        "our reader": lambda: [read_film(path, case.size) for path in paths],
        "our cache, built": lambda: build_films(source, source.studies(), case.size, cache, False),
        "our cache, read": lambda: _read(source, case.size, cache),
    }


def _size(path: Path) -> int:
    return path.stat().st_size


def _mean_size(paths: Sequence[Path]) -> float:
    return statistics.mean(map(_size, paths))


def _read(source: Folder, size: int, cache: Path) -> None:
    """Every film of a cache that is there, in batches of rows from all over it."""
    films = Films(build_films(source, source.studies(), size, cache, False), size)
    rows = np.random.default_rng(0).permutation(len(films))
    for start in range(0, len(rows), BATCH):
        films.take(rows[start : start + BATCH])


def peak_mb(count: int) -> float:
    """Peak memory of a process that builds a cache of so many films (small ones, 64 pixels), MB (2^20 bytes)."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.perf.films", "--peak", str(count)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.strip().splitlines()[-1])


def _peak(count: int) -> None:
    case = Case("small", "png", 96, 96, 224)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        paths = draw(case, root, 64)
        source = Folder(root, paths)
        known = source.studies()
        many = [replace(known[at % 64], study_id=f"s{at}") for at in range(count)]
        source.locations |= {study.study_id: ("", 0) for study in many}
        build_films(source, many, case.size, root / "cache", False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


QUICK_BASE = (
    "warmup_studies=64", "warmup_vision_steps=2", "warmup_prompt_steps=2", "warmup_steps=2", "resamples=20",
    "engine.actors=0",
)  # fmt: skip
"""The model of preset tiny with hardly a warm-up: a step costs the same."""


def loader_share(rounds: int) -> dict[str, float]:
    """Seconds that the clients of a run in this process spent in all, in making batches, and there on films."""
    from benchmark.run import settings
    from benchmark.run.experiment import run_experiment
    from benchmark.run.options import Options
    from fedmrg_core.data.cache.federation import Federation
    from fedmrg_core.engine.worker import Worker

    spent = {"films": 0.0, "batches": 0.0}

    def timed(kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*given)
            finally:
                spent[kind] += time.perf_counter() - start

        return wrapped

    batch, images, write = Worker.batch, Federation.images, Worker.generate
    config = settings.load("fedlora", split="phantom/ci", overrides=[*QUICK_BASE, f"train.rounds={rounds}"])
    with tempfile.TemporaryDirectory() as temporary:
        options = Options(quiet=True, runs=Path(temporary) / "runs", cache=Path(temporary) / "cache", track=False)
        try:
            Worker.batch = timed("batches", batch)  # type: ignore[method-assign]
            Federation.images = timed("films", images)  # type: ignore[method-assign]
            Worker.generate = _aside(spent, write)  # type: ignore[method-assign]
            result = run_experiment(config, options)
        finally:
            Worker.batch, Federation.images, Worker.generate = batch, images, write  # type: ignore[method-assign]
    return {
        "clients_s": result["provenance"]["client_seconds"],
        "batches_s": spent["batches"],
        "films_s": spent["films"],
    }


def _aside(spent: dict[str, float], write: Callable[..., Any]) -> Callable[..., Any]:
    """Generation reports reads films too; they do not count."""

    def wrapped(*given: Any) -> Any:
        before = spent["films"]
        try:
            return write(*given)
        finally:
            spent["films"] = before

    return wrapped


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: films a second and core, as a ratio to plain Pillow, and what MIMIC-CXR would take."""
    lines = [
        "| files | cached at | engine | films a core and second | beside plain Pillow | 377,110 films |",
        "|---|---|---|---:|---:|---:|",
    ]
    base: dict[tuple[str, int], float] = {}
    for row in rows:
        first = base.setdefault((row["files"], row["size"]), row["cpu"])
        cost = f"{MIMIC_FILMS / row['cpu'] / 3600:.1f} core hours"
        if row["engine"].startswith("our cache"):
            cost += f", {MIMIC_FILMS * row['cache_bytes'] / 1e9:.1f} GB"
        files = f"{row['files']}, {row['file_bytes'] / 1e6:.1f} MB"
        cells = [files, f"{row['size']} px", row["engine"], f"{row['cpu']:,.0f}", f"{row['cpu'] / first:.1f}", cost]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--films", type=int, default=96, help="films of each kind (default: 96)")
    parser.add_argument("--repeats", type=int, default=3, help="passes that count (default: 3)")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        _peak(given.peak)
        return
    if given.json is None:
        parser.error("--json is needed")
    rows = [row for case in CASES for row in measure(case, given.films, given.repeats)]
    peaks = {count: peak_mb(count) for count in (2_000, 16_000)}
    seconds = loader_share(2)
    figures = {"load": os.getloadavg()[0], "films": rows, "peak_mb": peaks, "loader": seconds}
    write_atomic(given.json, json.dumps(figures, indent=1).encode())
    print(table(rows))
    print("\npeak memory of a build, MB: " + ", ".join(f"{count:,} films {mb:.0f}" for count, mb in peaks.items()))
    parts = ", ".join(
        f"{name} {100 * seconds[f'{name}_s'] / seconds['clients_s']:.2f} %" for name in ("batches", "films")
    )
    print(f"of a client's time in training (preset tiny): {parts}")


if __name__ == "__main__":
    main()
