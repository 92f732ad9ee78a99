"""How long a round waits for its checkpoint and for MLflow: blocking and in the background, in turns in one run.

    python -m benchmark.perf.checkpoint --json checkpoint.json

Each round does the same work (matrix products) after its state was handed over. The time of that work shows how much a
background writer slows it down.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmark.run.headline import of_round
from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.async_checkpoint import AsyncCheckpointer
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.process import configure_process
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.files import write_atomic
from fedmrg_core.runfolder import RunFolder
from fedmrg_core.tracking import Description, Tracker
from fedmrg_core.tracking.store import Writer

CLIENTS, TENSORS = 10, 20


def state(megabytes: float, number: int) -> tuple[ServerState, ClientStore]:
    """Half of the bytes on the server, half with ten clients."""
    width = int(megabytes * 2**20 / 2 / 4)
    params = {f"layer{i}": torch.full((width // TENSORS,), float(number)) for i in range(TENSORS)}
    store = ClientStore()
    for client in range(CLIENTS):
        store.put(f"h{client:02d}", pack({"personal": {"w": torch.full((width // CLIENTS,), float(number))}}))
    return ServerState(params, round=number), store


def row(number: int) -> dict[str, Any]:
    """A line of rounds.jsonl with as many figures as FedMRG's."""
    names = ("loss", "diagnosis", "inter", "intra", "specialised", "l2g", "g2l")
    figures = dict.fromkeys(names, 1.0 / (number + 1))
    seconds = {"transfer": 0.1, "clients": 2.0, "total": 2.2}
    sent = {"upload_bytes": 2**20, "download_bytes": 2**20, "diagnostics": {"lora_product_error": 0.1}}
    return {"round": number, **figures, **sent, "failures": [], "seconds": seconds}


def work(count: int) -> float:
    """Seconds that the same products take."""
    matrix, start = torch.ones(384, 384), time.perf_counter()
    for _ in range(count):
        matrix = matrix @ matrix * 1e-3
    return time.perf_counter() - start


def clocked(action: Callable[..., Any], *given: Any) -> float:
    """Milliseconds until it returns."""
    start = time.perf_counter()
    action(*given)
    return (time.perf_counter() - start) * 1000


def lines_of(folder: RunFolder, number: int) -> None:
    """Append a round's lines, as before its checkpoint; they are on disk when this returns."""
    entry = {"round": number, "direction": "upload", "group": "delta", "bytes": 2**20}
    folder.append_ledger([{**entry, "client": f"h{client:02d}"} for client in range(2 * CLIENTS)])
    folder.append_round(row(number))


def measure(parent: Path, megabytes: float, rounds: int, products: int) -> list[dict[str, Any]]:
    """A row for each round: ms that a round waits for each kind of writing, and its work's ms beside it."""
    folder = RunFolder(parent / "run")
    uri = f"sqlite:///{parent / 'mlflow.db'}"
    direct = Writer(uri)
    direct.open(Description("blocking", "perf"), resume=False)
    tracker = Tracker(uri)
    tracker.start(Description("background", "perf"))
    writer = AsyncCheckpointer(parent / "background", 2, 600.0)
    rows = []
    for number in range(rounds):
        given = state(megabytes, number + 1)
        ms = {"lines": clocked(lines_of, folder, number)}
        ms["checkpoint, blocking"] = clocked(checkpoint.save, parent / "blocking", *given)
        ms["work alone"] = work(products) * 1000
        ms["checkpoint, background"] = clocked(writer.save, *given)
        ms["work beside the checkpoint"] = work(products) * 1000
        writer.finish()
        ms["mlflow, blocking"] = clocked(direct.metrics, number, of_round(row(number)))
        ms["mlflow, background"] = clocked(tracker.log_metrics, number, of_round(row(number)))
        ms["work beside mlflow"] = work(products) * 1000
        rows.append({"mb": megabytes, "round": number, "load": round(os.getloadavg()[0], 2), "ms": ms})
    tracker.finish()
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: medians with range over the rounds; not the first, which includes imports."""
    lines = ["| a round waits for | ms, median (range) |", "|---|---|"]
    for name in rows[0]["ms"]:
        values = [one["ms"][name] for one in rows[1:]]
        lines.append(f"| {name} | {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}) |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="output file for the rows")
    parser.add_argument("--mb", type=float, default=20.0, help="state, in MB of 2^20 bytes (default: 20)")
    parser.add_argument("--rounds", type=int, default=21, help="the first is not counted (default: 21)")
    parser.add_argument("--products", type=int, default=150, help="matrix products of a round's work (default: 150)")
    given = parser.parse_args()
    configure_process()
    with tempfile.TemporaryDirectory(dir=given.json.resolve().parent) as parent:
        rows = measure(Path(parent), given.mb, given.rounds, given.products)
    write_atomic(given.json, json.dumps(rows, indent=1).encode())
    print(table(rows))


if __name__ == "__main__":
    main()
