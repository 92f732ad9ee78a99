"""Films from files: every mode and depth that PNG and JPEG have, and what is refused."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from PIL import Image

from fedmrg_core.data.images import read_film, safe_path
from fedmrg_core.errors import DataError

RAMP = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (64, 1))


def saved(tmp_path, image: Image.Image, name: str = "film.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_png_modes_read_as_the_same_ramp(tmp_path, mode):
    film = read_film(saved(tmp_path, Image.fromarray(RAMP).convert(mode)), 64).astype(int)
    if mode == "1":
        assert set(np.unique(film)) <= {0, 255}
        assert film[:, :8].mean() < 40 < 215 < film[:, -8:].mean()
    else:
        assert np.abs(film - RAMP).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_modes_read_as_the_same_ramp(tmp_path, mode):
    path = saved(tmp_path, Image.fromarray(RAMP).convert("RGB").convert(mode), "film.jpg", quality=95)
    assert np.abs(read_film(path, 64).astype(int) - RAMP).max() <= 12


def test_sixteen_bits_are_rescaled_not_clipped(tmp_path):
    twelve = (RAMP.astype(np.uint16) * 16) + 3  # a 12-bit film in a 16-bit file
    film = read_film(saved(tmp_path, Image.fromarray(twelve)), 64)
    assert np.abs(film.astype(int) - RAMP).max() <= 1
    flat = read_film(saved(tmp_path, Image.fromarray(np.full((8, 8), 4000, np.uint16)), "flat.png"), 8)
    assert not flat.any()


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.fromarray(np.full((32, 32), value, np.uint8)) for value in (200, 10, 90)]
    for name in ("film.gif", "film.png"):
        path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
        assert np.abs(read_film(path, 16).astype(int) - 200).max() <= 2


def test_transparency_lies_on_black(tmp_path):
    pixels = np.full((16, 16, 4), 255, np.uint8)
    pixels[:, 8:, 3] = 0
    film = read_film(saved(tmp_path, Image.fromarray(pixels)), 16)
    assert film[:, :8].min() == 255
    assert film[:, 8:].max() == 0


def test_whole_film_is_kept_in_a_square(tmp_path):
    film = read_film(saved(tmp_path, Image.fromarray(np.full((50, 100), 180, np.uint8))), 40)
    assert film.shape == (40, 40)
    assert (film[10:30] == 180).all()
    assert not film[:10].any()
    assert not film[30:].any()


def test_exif_rotation_is_undone(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to view
    stored = Image.fromarray(np.rot90(RAMP).copy())
    film = read_film(saved(tmp_path, stored, exif=exif), 64)
    assert np.abs(film.astype(int) - RAMP).max() <= 1


def test_a_cut_off_file_is_refused_wherever_it_is_cut(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8))
    for kind in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        noise.save(buffer, kind)
        whole = buffer.getvalue()
        for share in (0.0, 0.02, 0.3, 0.7, 0.97):
            path = tmp_path / "cut"
            path.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(DataError, match="cannot be read"):
                read_film(path, 32)


def test_a_flipped_byte_in_a_png_is_refused(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99), dtype=np.uint8)))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(DataError, match="cannot be read"):
        read_film(path, 32)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_001, 14_000])
def test_over_100_megapixels_is_refused_before_decoding(tmp_path, side):
    path = saved(tmp_path, Image.new("1", (side, side)))
    with pytest.raises(DataError, match="100 megapixels"):
        read_film(path, 32)


def test_other_formats_are_no_images(tmp_path):
    path = tmp_path / "film.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DataError, match="not an image"):
        read_film(path, 32)


@pytest.mark.parametrize(
    ("relative", "message"),
    [
        ("../film.png", "leaves the data root"),
        ("a/../../film.png", "leaves the data root"),
        ("/etc/hostname", "leaves the data root"),
        ("C:\\films\\1.png", "leaves the data root"),
        ("none.png", "does not exist"),
        ("a", "does not exist"),
        ("", "empty"),
        ("a\0b.png", "NUL"),
        ("x" * 5000, "image"),
    ],
)
def test_refused_paths(tmp_path, relative, message):
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "film.png").write_bytes(b"x")
    with pytest.raises(DataError, match=message):
        safe_path(tmp_path / "root", relative)


def test_links_are_refused_below_the_root_but_the_root_may_be_one(tmp_path):
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "in" / "film.png").write_bytes(b"x")
    os.symlink(root / "in" / "film.png", root / "link.png")
    os.symlink(root / "in", root / "folder")
    os.symlink(root, tmp_path / "alias")
    for relative in ("link.png", "folder/film.png"):
        with pytest.raises(DataError, match="symbolic link"):
            safe_path(root, relative)
    assert safe_path(tmp_path / "alias", "in\\film.png") == root / "in" / "film.png"
