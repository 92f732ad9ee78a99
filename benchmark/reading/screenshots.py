"""The pictures of README and docs, from committed boards and from runs of this checkout: `make screenshots`.

    python -m benchmark.reading.screenshots docs/img

A board's page, MLflow's leaderboard of the first experiment, and the reports of three runs side by side, as a browser
draws them; and the phantom's hospitals. It needs Chromium or Chrome, and finished runs in `runs/` that MLflow knows.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmark.run.options import RUNS
from fedmrg_core.errors import FedMRGError
from fedmrg_core.paths import ROOT
from fedmrg_core.runfolder import RESULT, RunFolder

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OFFLINE = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
BOARD = ROOT / "leaderboards" / "html" / "phantom-group--tiny.html"
START_S = 120.0


def main() -> int:
    """Draw the pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go, such as docs/img")
    folder = parser.parse_args().folder
    picture = ["--seed", "0", "--out", str(folder / "phantom_hospitals.png")]
    subprocess.run([sys.executable, "-m", "fedmrg_core.data.phantom.sheet", *picture], cwd=ROOT, check=True)
    draw(BOARD.as_uri(), folder / "board_page.png", 1400, 1500)
    with mlflow_link() as link:
        draw(link, folder / "mlflow.png", 2000, 760)
    with tempfile.TemporaryDirectory() as made:
        page = Path(made) / "reader.html"
        done = subprocess.run([sys.executable, "-m", "benchmark.cli", "read", *newest(), "--out", str(page)], cwd=ROOT)
        if done.returncode:
            return done.returncode
        draw(page.as_uri(), folder / "reader.png", 1400, 1290)
    return 0


def newest(count: int = 3) -> list[str]:
    """The newest finished runs of different algorithms on the first board's split and the newest one's seed."""
    results = (RunFolder(path.parent).result() for path in sorted(RUNS.glob(f"*/{RESULT}"), reverse=True))
    known = [one for one in results if one and (one["status"], one["split"]) == ("finished", "phantom/group")]
    if not known:
        raise FedMRGError("no finished run on phantom/group: `make bench` first")
    alike = [one for one in known if one["seed"] == known[0]["seed"]]
    return list({one["algorithm"]: str(one["run_id"]) for one in reversed(alike)}.values())[-count:]


def draw(address: str, picture: Path, width: int, height: int) -> None:
    """A page as a browser draws it, in pixels. Raises FedMRGError without a browser or a picture."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise FedMRGError(f"no browser on PATH: install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as profile:
        made = Path(profile) / "page.png"
        size = [f"--window-size={width},{height}", "--virtual-time-budget=60000", f"--screenshot={made}"]
        command = [browser, *OFFLINE, f"--user-data-dir={profile}", *size, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if not made.is_file():
            raise FedMRGError(f"{browser} drew no picture of {address}: {done.stderr.strip()[-300:]}")
        shutil.copy(made, picture)
    print(picture)


@contextmanager
def mlflow_link() -> Iterator[str]:
    """The link to MLflow's leaderboard, served on a free port inside the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmark.cli", "ui", "--no-open", "--port", str(port)]
    with tempfile.TemporaryFile("w+") as said:
        server = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + START_S
            while "startup complete" not in (text := _read(said)):
                if server.poll() is not None or time.monotonic() > until:
                    raise FedMRGError(f"the MLflow UI did not start: {text.strip()[-300:]}")
                time.sleep(0.5)
            links = re.findall(rf"http://127\.0\.0\.1:{port}/#\S+", text)
            if not links:
                raise FedMRGError("MLflow knows no runs: `make bench` or `fedmrg sync all` first")
            yield min(links)  # experiments are numbered in the order of their making
        finally:
            server.terminate()
            server.wait(30)


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


if __name__ == "__main__":
    sys.exit(main())
