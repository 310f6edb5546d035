from __future__ import annotations

import errno
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pylfr.errors import MediaError, PylfrError
from pylfr.types import UInt8
from pylfr.video.decoding import image_io
from pylfr.video.decoding.image_io import MAX_SIDE_PX, read_image, write_jpeg, write_png


def gradient(width: int = 40, height: int = 30) -> UInt8:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([columns * 5, rows * 7, np.full_like(rows, 90)], axis=2).astype(np.uint8)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG whose header announces a size and whose pixels are not there."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 1_000) + b"IDAT"


def test_a_png_reads_as_it_was_written(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", gradient())
    read = read_image(tmp_path / "a.png")
    assert read.dtype == np.uint8
    assert np.array_equal(read, gradient())


def test_a_jpeg_reads_nearly_as_it_was_written(tmp_path: Path) -> None:
    write_jpeg(tmp_path / "a.jpg", gradient())
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - gradient()).mean() < 4


def test_bytes_and_open_files_read_as_the_file_does(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    write_png(path, np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    wanted = read_image(path).tolist()
    content = path.read_bytes()
    assert read_image(content).tolist() == wanted
    assert read_image(io.BytesIO(content)).tolist() == wanted
    with path.open("rb") as file:
        assert read_image(file).tolist() == wanted


def test_bytes_and_open_files_without_a_picture_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MediaError, match="image in memory must be a picture, got zero bytes"):
        read_image(b"")
    path = tmp_path / "notes.txt"
    path.write_text("no picture")
    with path.open("rb") as file, pytest.raises(MediaError, match=r"notes\.txt must be a JPEG, PNG or other picture"):
        read_image(file)
    with path.open() as text, pytest.raises(TypeError, match="must be open for reading bytes"):
        read_image(text)  # type: ignore[arg-type]
    monkeypatch.setattr(image_io, "MAX_BYTES", 4)
    with pytest.raises(MediaError, match="must have at most 4 bytes"):
        read_image(io.BytesIO(b"12345"))


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", gradient(1, 1))
    assert read_image(tmp_path / "a.png").shape == (1, 1, 3)


def test_a_picture_is_set_upright_by_its_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient()).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.rot90(gradient(), -1))


def test_what_is_transparent_reads_as_white(tmp_path: Path) -> None:
    layers = np.dstack([gradient(), np.zeros((30, 40), np.uint8)])
    layers[:, 20:, 3] = 255
    Image.fromarray(layers).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert (read[:, :20] == 255).all()
    assert np.array_equal(read[:, 20:], gradient()[:, 20:])


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LA"])
def test_other_colour_modes_read_as_rgb(tmp_path: Path, mode: str) -> None:
    name = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).convert(mode).save(name)
    read = read_image(name)
    assert read.shape == (8, 8, 3)
    assert (read > 250).all()


def test_a_grey_picture_of_16_bits_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0x1234, 0x8000, 0xFFFF]], np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [0, 0x12, 0x80, 0xFF]


def test_a_missing_image_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"absent\.jpg must be a file, got nothing there"):
        read_image(tmp_path / "absent.jpg")


def test_a_folder_is_refused_as_an_image(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="must be a file, got a folder"):
        read_image(tmp_path)


def test_an_image_of_zero_bytes_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(MediaError, match=r"a\.jpg must be a picture, got a file of zero bytes"):
        read_image(tmp_path / "a.jpg")


def test_a_text_that_is_called_jpg_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture\n" * 100)
    with pytest.raises(MediaError, match=r"a\.jpg must be a JPEG, PNG or other picture"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_image_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(gradient(400, 300)).save(buffer, kind)
    (tmp_path / "a").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(MediaError, match=r"must be a whole picture, got one that is damaged or cut off"):
        read_image(tmp_path / "a")


@pytest.mark.parametrize(
    ("width", "height", "complaint"),
    [
        (20_000, 10, r"at most 16,384 pixels a side, got 20000x10"),
        (10, MAX_SIDE_PX + 1, r"at most 16,384 pixels a side, got 10x16385"),
        (10_000, 10_000, r"at most 50,000,000 pixels, got 10000x10000"),
        (60_000, 60_000, r"at most 50,000,000 pixels"),
    ],
)
def test_a_picture_that_is_too_large_is_refused_before_its_pixels_are_read(
    tmp_path: Path, width: int, height: int, complaint: str
) -> None:
    (tmp_path / "a.png").write_bytes(png_that_claims(width, height))
    with pytest.raises(MediaError, match=complaint):
        read_image(tmp_path / "a.png")


def test_the_largest_side_that_is_allowed_is_read(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", gradient(MAX_SIDE_PX, 2))
    assert read_image(tmp_path / "a.png").shape == (2, MAX_SIDE_PX, 3)


def test_a_full_disk_leaves_the_old_picture_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"before")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PylfrError, match=r"a\.jpg cannot be written: No space left on device; check the folder"):
        write_jpeg(path, gradient())
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PylfrError, match=r"absent/a\.png cannot be written: No such file or directory"):
        write_png(tmp_path / "absent" / "a.png", gradient())


def test_an_array_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rgb must be uint8 \[H, W, 3\], got float64 \[4, 4\]"):
        write_jpeg(tmp_path / "a.jpg", np.zeros((4, 4)))  # type: ignore[arg-type]
