"""`fedmrg ui`: the MLflow UI over the project's runs, on 127.0.0.1, and the link to its leaderboard."""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedmrg_core.tracking.client import Experiment

HOST = "127.0.0.1"
OPENER = (
    "import socket, sys, time, webbrowser\n"
    "for _ in range(600):\n"
    "    try:\n"
    "        socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).close()\n"
    "        break\n"
    "    except OSError:\n"
    "        time.sleep(0.2)\n"
    "else:\n"
    "    sys.exit(1)\n"
    "webbrowser.open(sys.argv[3])\n"
)
"""Waits for a port, then opens a page: a process of its own, since this one becomes the server."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg ui`."""
    parser.add_argument("--port", type=int, default=5000, help="TCP port (default: 5000)")
    parser.add_argument("--no-open", action="store_true", help="open no browser (nor without a terminal and a display)")
    parser.add_argument("--print", action="store_true", help="only print the command that would be run")


def main(args: argparse.Namespace) -> int:
    """Become the UI's server, until Ctrl-C."""
    from fedmrg_core.errors import in_range
    from fedmrg_core.paths import ROOT
    from fedmrg_core.tracking import default_uri

    in_range("--port", args.port, 1, 65535)
    uri = default_uri(ROOT)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--host", HOST, "--port", str(args.port), "--workers", "1"]
    if args.print:
        print(" ".join(command))
        return 0
    remote = uri.startswith(("http://", "https://"))
    if not remote:
        check_port(args.port)
        print(f"starting MLflow on store {shown(uri)}", flush=True)
    first = print_links(uri, uri if remote else f"http://{HOST}:{args.port}")
    if remote:
        return 0
    print("It answers in some 10 s; Ctrl-C ends it.", flush=True)
    if not args.no_open and has_browser():
        subprocess.Popen([sys.executable, "-c", OPENER, HOST, str(args.port), first], start_new_session=True)
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    os.execve(sys.executable, command, {**os.environ, **quiet})  # so that signals reach the server itself


def check_port(port: int) -> None:
    """Raises FedMRGError where the port is taken: the server would say so after many other lines."""
    from fedmrg_core.errors import FedMRGError

    if not _is_free(port):
        free = next((str(other) for other in range(port + 1, min(port + 100, 65536)) if _is_free(other)), "OTHER")
        raise FedMRGError(f"port {port} of {HOST} is taken, perhaps by another `fedmrg ui`: try --port {free}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server: a port just closed is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def print_links(uri: str, server: str) -> str:
    """Print the link of each experiment's leaderboard, that with the newest run first; returns that link."""
    from benchmark.run.saved_views import LEADERBOARD, TAG, VIEWS, link

    found = [one for one in _experiments(uri) if f"{TAG}{LEADERBOARD}" in one.tags]
    links = {one.name: link(server, one.id) for one in found}
    _print_columns(links)
    if found:
        others = {name: view.meaning for name, view in VIEWS.items() if name != LEADERBOARD}
        print("other views, by the last word of the link:")
        _print_columns({f"  {name}": meaning for name, meaning in others.items()})
    else:
        print(f"{server} (no runs yet; `fedmrg bench` makes one, `fedmrg sync all` enters those in runs/)", flush=True)
    return next(iter(links.values()), server)


def _experiments(uri: str) -> list[Experiment]:
    from fedmrg_core.errors import FedMRGError, first_line, one_line
    from fedmrg_core.tracking.client import experiments

    try:
        return experiments(uri)
    except Exception as error:  # whatever MLflow raises
        raise FedMRGError(f"MLflow's store {shown(uri)} cannot be read: {one_line(first_line(error))}") from error


def shown(uri: str) -> str:
    """A store's address without the name and password in it.

    >>> shown("postgresql://user:secret@host/db")
    'postgresql://host/db'
    """
    return re.sub(r"//[^@/]*@", "//", uri)


def _print_columns(rows: dict[str, str]) -> None:
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        print(f"{name:<{width}}  {text}", flush=True)


def has_browser(platform: str = sys.platform) -> bool:
    """Whether opening a page shows it in a window: a text browser would take the terminal."""
    display: Sequence[str] = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.stdout.isatty() and (platform in ("darwin", "win32") or any(os.environ.get(name) for name in display))
