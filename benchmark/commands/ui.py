"""`fedmrg ui`: the MLflow UI over the project's runs, on 127.0.0.1."""

from __future__ import annotations

import argparse
import os
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg ui`."""
    parser.add_argument("--port", type=int, default=5000, help="TCP port (default: 5000)")
    parser.add_argument("--print", action="store_true", help="only print the command that would be run")


def main(args: argparse.Namespace) -> int:
    """Become the UI's server, until Ctrl-C."""
    from fedmrg_core.errors import in_range
    from fedmrg_core.paths import ROOT
    from fedmrg_core.tracking import default_uri

    in_range("--port", args.port, 1, 65535)
    uri = default_uri(ROOT)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    command += ["--port", str(args.port)]
    if args.print:
        print(" ".join(command))
        return 0
    if uri.startswith(("http://", "https://")):
        print(f"runs are tracked by the server {uri}: open it in a browser")
        return 0
    print(f"http://127.0.0.1:{args.port} (store {uri}; Ctrl-C ends it)", flush=True)
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    os.execve(sys.executable, command, {**os.environ, **quiet})  # so that signals reach the server itself
