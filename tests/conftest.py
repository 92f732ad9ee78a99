"""Fixtures that several test folders share."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def toy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the toy set-up of `tests/toy.py`, shared by the whole session and all its processes;
    FEDMRG_TOY_CACHE names one that another session has filled."""
    given = os.environ.get("FEDMRG_TOY_CACHE")
    if given:
        return Path(given)
    if "PYTEST_XDIST_WORKER" in os.environ:  # the parent folder belongs to all processes of this session
        return tmp_path_factory.getbasetemp().parent / "toy_cache"
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data for tests: FEDMRG_TEST_DATA, or ../shared/data beside the project; skips where absent."""
    folder = Path(os.environ.get("FEDMRG_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the data for tests is not here: no folder {folder} (set FEDMRG_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def notes_folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real films with notes, as a manifest: hospitals by source, rows without notes left in."""
    folder = shared_data / "cxr_notes_224"
    root = tmp_path_factory.mktemp("notes", numbered=False)
    shutil.copytree(folder / "images", root / "images")
    with (
        (folder / "metadata.csv").open(encoding="utf-8", newline="") as given,
        (root / "manifest.csv").open("w", encoding="utf-8", newline="") as made,
    ):
        table = csv.writer(made)
        table.writerow(("image", "report", "hospital", "patient"))
        for row in csv.DictReader(given):
            table.writerow((f"images/{row['image']}", row["clinical_notes"], row["source"], row["patientid"]))
    return root


class RayInstance:
    """One private Ray instance for all tests of a process that need one: starting it takes seconds."""

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None

    def start(self) -> None:
        from fedmrg_core.engine.ray.instance import start_ray
        from tests.toy import TWO_ACTORS

        if self._stop is None:
            self._stop = start_ray(TWO_ACTORS)

    def stop(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()


@pytest.fixture(scope="session")
def ray_instance() -> Iterator[RayInstance]:
    """The instance, not started yet; for tests that start or stop it themselves."""
    instance = RayInstance()
    yield instance
    instance.stop()


@pytest.fixture
def ray_running(ray_instance: RayInstance) -> None:
    """The instance, started."""
    ray_instance.start()
