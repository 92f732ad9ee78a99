"""The cache is checked when it is opened: what is damaged is made again or refused, and says so in one line."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import own_folder, three_sources

from fedmrg_core.data import file_source
from fedmrg_core.data.cache.federation import LABELS, MEMBERSHIP, META, TEXTS, Federation
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.readers.manifest import ManifestSource
from fedmrg_core.errors import DataError


@pytest.fixture
def ready(tmp_path: Path, change) -> Callable[[], Federation]:
    """Prepares a folder of 40 films."""
    reports = (f"{'Clear lungs.' if at % 2 else 'Edema.'} Line {at}.,{'ab'[at // 20]}" for at in range(40))
    root = own_folder(tmp_path / "own", "report,hospital", reports)
    return lambda: prepare(change(path=str(root)), "manifest", 0, 16, tmp_path / "cache", None, False)


def content(federation: Federation) -> tuple[object, ...]:
    parts = {(h.name, part): rows.tolist() for h in federation.hospitals for part, rows in h.rows.items()}
    films = federation.images(range(len(federation))).tolist()
    return parts, federation.labels.tolist(), list(federation.reports), list(federation.study_ids), films


def flip(path: Path, at: float = 0.5) -> None:
    raw = bytearray(path.read_bytes())
    raw[int(at * len(raw))] ^= 1
    path.write_bytes(raw)


def zero(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:200] + bytes(len(raw) - 200))


def moved(path: Path) -> None:
    """A study from test to train."""
    rows = np.load(path)
    rows[np.flatnonzero(rows[:, 1] == 2)[0], 1] = 0
    np.save(path, rows)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("films-16/*.arrow", flip), ("films-16/*.arrow", zero), ("films-16/*.arrow", Path.unlink),
        ("films-16/*.sha256", flip), (f"federations/*/{LABELS}", zero), (f"federations/*/{LABELS}", flip),
        (f"federations/*/{MEMBERSHIP}", moved), (f"federations/*/{TEXTS}", flip), (f"federations/*/{META}", flip),
        (f"federations/*/{META}", Path.unlink), (f"federations/*/{TEXTS}", Path.unlink),
    ],
)  # fmt: skip
def test_damage_is_noticed_and_made_again(
    ready: Callable[[], Federation], tmp_path: Path, file: str, damage: Callable[[Path], None], caplog
) -> None:
    first = content(ready())
    (path,) = (tmp_path / "cache").glob(file)
    damage(path)
    with caplog.at_level(logging.WARNING):
        assert content(ready()) == first
    assert "made again" in caplog.text or damage is Path.unlink
    caplog.clear()
    assert content(ready()) == first
    assert not caplog.text


@pytest.mark.parametrize("name", [TEXTS, LABELS, MEMBERSHIP])
def test_a_worker_refuses_damaged_tables(ready: Callable[[], Federation], name: str) -> None:
    folder = ready().directory
    flip(folder / name, 0.9)
    with pytest.raises(DataError, match=rf"not a prepared federation \(damaged: {name}\); delete it and run again"):
        Federation.open(folder)


@pytest.mark.parametrize("published", [False, True])
def test_a_film_replaced_with_equal_size_and_time_is_noticed(
    ready: Callable[[], Federation], tmp_path: Path, published: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ManifestSource, "published", published)
    film = tmp_path / "own" / "3.png"
    before, stat, content_before = ready(), film.stat(), film.read_bytes()
    pixels = np.asarray(Image.open(film)).copy()
    Image.fromarray(255 - pixels).save(tmp_path / "other.png")
    raw = (tmp_path / "other.png").read_bytes()
    film.write_bytes(raw + bytes(stat.st_size - len(raw)))
    os.utime(film, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert film.stat().st_size == stat.st_size
    after = ready()
    row = list(after.study_ids).index("3.png")
    assert after.images([row]).mean() == 255 - before.images([row]).mean()
    assert after.data_sha256 != before.data_sha256
    assert ready().data_sha256 == after.data_sha256
    film.write_bytes(content_before)
    assert ready().data_sha256 == before.data_sha256


def test_a_film_of_a_release_is_known_by_name_and_size_in_every_copy(
    ready: Callable[[], Federation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ManifestSource, "published", True)
    first, own = ready(), tmp_path / "own"
    shutil.copytree(own, tmp_path / "copy")
    shutil.rmtree(own)
    shutil.copytree(tmp_path / "copy", own)  # other inodes and times, the same content
    with monkeypatch.context() as patch:
        patch.setattr(file_source, "read_film", lambda path, size: pytest.fail("decoded again"))
        assert ready().data_sha256 == first.data_sha256
    shutil.rmtree(tmp_path / "cache" / "hashes")
    assert ready().data_sha256 == first.data_sha256, "nothing but name and size enters the hash of the data"


def test_films_of_a_release_whose_hashes_are_lost_are_decoded_again(
    ready: Callable[[], Federation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    monkeypatch.setattr(ManifestSource, "published", True)
    ready()
    shutil.rmtree(tmp_path / "cache" / "hashes")
    shutil.copyfile(tmp_path / "own" / "5.png", tmp_path / "own" / "3.png")
    after = ready()
    rows = [list(after.study_ids).index(name) for name in ("3.png", "5.png")]
    assert (after.images(rows) == 5).all()
    assert "hashes of the films of a shard are missing" in caplog.text


def test_an_unreadable_film_of_a_release_is_not_decoded_in_every_run(
    tmp_path: Path, change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ManifestSource, "published", True)
    root = own_folder(tmp_path / "own", "report,hospital", (f"Edema {at}.,a" for at in range(40)))
    (root / "3.png").write_bytes(b"no image")
    data = change(path=str(root), on_bad="skip")
    first = prepare(data, "manifest", 0, 16, tmp_path / "cache", None, False)
    assert first.left_out["bad_image"] == 1
    with monkeypatch.context() as patch:
        patch.setattr(file_source, "read_film", lambda path, size: pytest.fail("decoded again"))
        assert content(prepare(data, "manifest", 0, 16, tmp_path / "cache", None, False)) == content(first)
    (root / "3.png").write_bytes((root / "5.png").read_bytes())
    assert "bad_image" not in prepare(data, "manifest", 0, 16, tmp_path / "cache", None, False).left_out


def _replaced(film: Path) -> None:
    """Another image under the same name, size and time of last write."""
    stat, raw = film.stat(), film.read_bytes()
    pixels = 255 - np.asarray(Image.open(film))
    Image.fromarray(pixels).save(film)
    film.write_bytes(film.read_bytes().ljust(len(raw), b"\0"))
    os.utime(film, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (film.stat().st_size, film.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def test_every_published_source_notices_it_in_every_copy(tmp_path: Path, change) -> None:
    def federation(folder: Path) -> Federation:
        return prepare(change(path=str(folder)), "mimic_chexpertplus/ci", 0, 8, tmp_path / "cache", None, False)

    root = three_sources(tmp_path / "all", 20, 13, 15)
    films = next(root.rglob("*-0.jpg")), next(root.rglob("*frontal.png"))
    for film in films:
        film.write_bytes(film.read_bytes() + bytes(100))  # room for another image of the same size
    first = federation(root)
    shutil.copytree(root, tmp_path / "copy")
    for film in films:
        before, intact = federation(root), content(federation(root))
        _replaced(film)
        assert federation(root).data_sha256 != before.data_sha256, film
        assert content(federation(root)) != intact
    assert federation(tmp_path / "copy").data_sha256 == first.data_sha256, "a copy of the release is unharmed"


@pytest.mark.parametrize("target", ["fedmrg_core.data.cache.films._write_shard", "numpy.save"])
def test_a_full_disk_is_one_line(
    ready: Callable[[], Federation], tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "cache" / "x"))

    monkeypatch.setattr(target, full)
    with pytest.raises(DataError, match=r"cache/x: the cache cannot be written or read \(No space left on device\)"):
        ready()
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_hashes_that_cannot_be_stored_end_no_run(ready: Callable[[], Federation], tmp_path: Path, caplog) -> None:
    first = content(ready())
    shutil.rmtree(tmp_path / "cache" / "hashes")
    (tmp_path / "cache" / "hashes").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert content(ready()) == first
    assert "hashes of films are not stored" in caplog.text
