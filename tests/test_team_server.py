"""A team's MLflow: a real PostgreSQL behind a server that also stores files, as docs/mlflow-server.md sets it up."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmark.commands import sync
from tests.test_tracking import RUN, finished

pytestmark = pytest.mark.slow
HOST = "127.0.0.1"


def tools() -> Path | None:
    """The folder of PostgreSQL's programs: Debian keeps them out of PATH."""
    known = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    known += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in known if (folder / "initdb").exists()), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(*command: str | Path, user: str | None = None, log: Path, **environment: str) -> Iterator[None]:
    """A server of its own process group, ended with the block."""
    with log.open("w") as out:
        env = {**os.environ, **environment}
        server = subprocess.Popen(command, stdout=out, stderr=out, user=user, start_new_session=True, env=env)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGINT)
        server.wait(30)


def wait_for(answers: str, log: Path) -> None:
    for _ in range(240):
        with contextlib.suppress(OSError), urllib.request.urlopen(answers, timeout=2):
            return
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of an empty database, in a cluster made for this test, on a socket in its own folder."""
    programs = tools()
    if programs is None:
        pytest.skip("no PostgreSQL here (Debian's package: postgresql)")
    if find_spec("psycopg2") is None:
        pytest.skip("no psycopg2 here (pip install psycopg2-binary)")
    user = None
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        if "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
            pytest.skip("root cannot run PostgreSQL, and there is no user postgres")
        user = "postgres"
    folder = Path(tempfile.mkdtemp(prefix="fedmrg-pg-"))
    if user:
        shutil.chown(folder, user)
    try:
        init = [programs / "initdb", "-D", folder / "data", "-U", "fedmrg", "--auth=trust", "--no-sync"]
        subprocess.run(init, check=True, user=user, capture_output=True, cwd="/")
        port = free_port()
        serve = [programs / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port), "-h", ""]
        with running(*serve, user=user, log=folder.with_suffix(".log")):
            address = f"postgresql+psycopg2://fedmrg@/postgres?host={folder}&port={port}"
            _wait_for_socket(folder / f".s.PGSQL.{port}", folder.with_suffix(".log"))
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink(missing_ok=True)


def _wait_for_socket(path: Path, log: Path) -> None:
    for _ in range(120):
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(0.25)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server on that database, which stores files itself."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", postgres, "--serve-artifacts"]
    command += ["--artifacts-destination", str(folder / "files"), "--host", HOST, "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with running(*command, log=folder / "log", **quiet):
        wait_for(f"http://{HOST}:{port}/health", folder / "log")
        yield f"http://{HOST}:{port}"


SYNC = "import sys; from pathlib import Path; from benchmark.commands.sync import sync; sync(Path(sys.argv[1]))"


def test_runs_of_several_machines_meet_on_a_teams_server(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two processes enter two seeds at once; then one of them again. All numbers and files are there, once."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    folders = [finished(tmp_path, run_id=f"r{seed}", seed=seed)[0].path for seed in (0, 1)]
    jobs = [subprocess.Popen([sys.executable, "-c", SYNC, str(folder)]) for folder in folders]
    assert [job.wait(300) for job in jobs] == [0, 0]
    sync.sync(folders[0])
    assert capfd.readouterr() == ("", "")
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("phantom-ci tiny")
    found = client.search_runs([experiment.experiment_id])
    kinds = [run.data.tags["kind"] for run in found]
    assert {kind: kinds.count(kind) for kind in kinds} == {"group": 1, "run": 2, "hospital": 4}
    (group,) = [run for run in found if run.data.tags["kind"] == "group"]
    assert group.data.metrics["ce_f1"] == pytest.approx(0.6124)
    first = next(run for run in found if run.data.tags.get("run_id") == "r0")
    assert len(client.get_metric_history(first.info.run_id, "train_loss")) == 4
    got = client.download_artifacts(first.info.run_id, "result.json", str(tmp_path))
    assert json.loads(Path(got).read_text())["run_id"] == RUN["run_id"].replace("1", "0")
    assert first.info.artifact_uri.startswith("mlflow-artifacts:")
    assert "mlflow.sharedViewState.leaderboard" in experiment.tags
