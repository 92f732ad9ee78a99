"""Output where a user asked for it: files whole, links followed, pipes and devices written to."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fedmrg_core.errors import DataError
from fedmrg_core.files import check_output, output, replacing, write_atomic


def put(path: Path, how: str) -> None:
    """Write "text\\n" in one of the ways that the program has."""
    if how == "output":
        with output(path) as stream:
            stream.write("text\n")
    else:
        write_atomic(path, b"text\n")


WAYS = pytest.mark.parametrize("how", ["output", "write_atomic"])


@WAYS
def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path: Path, how: str) -> None:
    link, target = tmp_path / "link", tmp_path / "folder" / "file"
    target.parent.mkdir()
    target.write_text("before")
    link.symlink_to(target)
    put(link, how)
    assert link.is_symlink()
    assert target.read_text() == "text\n"


@WAYS
def test_a_link_whose_target_is_missing_makes_it(tmp_path: Path, how: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "new")
    put(tmp_path / "link", how)
    assert (tmp_path / "new").read_text() == "text\n"


@WAYS
def test_a_pipe_gets_the_text_and_stays_a_pipe(tmp_path: Path, how: str) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    put(pipe, how)
    reader.join(timeout=10)
    assert got == ["text\n"]
    assert pipe.is_fifo()


@WAYS
def test_a_device_stays_a_device(how: str) -> None:
    put(Path("/dev/null"), how)
    assert Path("/dev/null").is_char_device()


@WAYS
@pytest.mark.parametrize("to", ["pipe", "file"])
def test_standard_output_by_its_path_keeps_what_was_printed(tmp_path: Path, how: str, to: str) -> None:
    code = (
        f"from pathlib import Path; from tests.test_files import put; print('first', flush=True);"
        f" put(Path('/dev/stdout'), '{how}')"
    )
    with (tmp_path / "out").open("wb") as file:
        where = file if to == "file" else subprocess.PIPE
        done = subprocess.run([sys.executable, "-c", code], stdout=where, check=True)
    text = (tmp_path / "out").read_text() if to == "file" else done.stdout.decode()
    assert text == "first\ntext\n"


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        fail()
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_where_nothing_can_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        check_output(tmp_path)
    with pytest.raises(DataError, match="folder does not exist"):
        check_output(tmp_path / "no" / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "no" / "file")
    with pytest.raises(DataError, match="folder does not exist"):
        check_output(tmp_path / "dangling")


def test_a_full_device_is_one_line() -> None:
    def fill() -> None:
        put(Path("/dev/full"), "output")

    with pytest.raises(DataError, match="No space left"):
        fill()
