"""Pictures as people have them: read, alone and in the confined process, or refused by what they are."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from pylfr.errors import MediaError
from pylfr.video.decoding.image_io import read_image
from pylfr.video.isolation.client import IsolatedImages


def drawing() -> Image.Image:
    rows, columns = np.mgrid[:48, :64]
    return Image.fromarray(np.stack([3 * rows, 3 * columns, rows + columns], 2).astype(np.uint8))


def saved(mode: str, name: str, **options: object) -> Callable[[], bytes]:
    def make() -> bytes:
        out = io.BytesIO()
        drawing().convert(mode).save(out, name, **options)
        return out.getvalue()

    return make


def lab() -> bytes:
    """CIE Lab in TIFF, as scanners and print shops have it."""
    out = io.BytesIO()
    rgb, wanted = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.profileToProfile(drawing(), rgb, wanted, outputMode="LAB").save(out, "TIFF")  # type: ignore[union-attr]
    return out.getvalue()


def profiled() -> bytes:
    return saved("RGB", "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())()


# The first bytes of what a telephone writes (ISO/IEC 23008-12, 10.2).
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


def heic() -> bytes:
    importlib.import_module("pillow_heif").register_heif_opener()
    return saved("RGB", "HEIF", quality=90)()


@dataclass(frozen=True)
class Condition:
    """``tolerance``: the mean difference of levels that the format costs."""

    what: str
    make: Callable[[], bytes]
    tolerance: float = 6.0


READ = (
    Condition("JPEG", saved("RGB", "JPEG", quality=90)),
    Condition("progressive JPEG", saved("RGB", "JPEG", progressive=True)),
    Condition("JPEG in CMYK, as printers want it", saved("CMYK", "JPEG", quality=90)),
    Condition("JPEG with a colour profile", profiled),
    Condition("JPEG with a broken profile", saved("RGB", "JPEG", icc_profile=b"no profile")),
    Condition("PNG of a palette", saved("P", "PNG"), 40),
    Condition("PNG with an alpha channel", saved("RGBA", "PNG"), 0),
    Condition("GIF", saved("P", "GIF"), 40),
    Condition("BMP", saved("RGB", "BMP"), 0),
    Condition("TIFF", saved("RGB", "TIFF"), 0),
    Condition("TIFF in CIE Lab", lab),
    Condition("TIFF in YCbCr", saved("YCbCr", "TIFF"), 2),
    Condition("WebP", saved("RGB", "WEBP", lossless=True), 0),
    Condition("PPM", saved("RGB", "PPM"), 0),
    *([Condition("HEIC, as iPhones write it", heic)] if find_spec("pillow_heif") is not None else []),
    *([Condition("AVIF", saved("RGB", "AVIF", quality=90))] if features.check("avif") else []),
)
REFUSED = {
    **({"HEIC, as iPhones write it": HEIC} if find_spec("pillow_heif") is None else {}),
    "a JPEG 2000 picture": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64),
    "a JPEG XL picture": b"\xff\x0a" + bytes(64),
    "a Photoshop file": b"8BPS\0\1" + bytes(64),
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3",
    "an HTML page": b"\xef\xbb\xbf\n<!DOCTYPE html><html><body>404",
    "an SVG drawing": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "an XML document": b"<?xml version='1.0'?><error/>",
    "text": "Grüße, das Bild kommt später".encode(),
    "a ZIP archive or an office document": b"PK\3\4" + bytes(64),
    "a Matroska or WebM video": b"\x1a\x45\xdf\xa3" + bytes(64),
    "a TIFF picture or a camera's raw file": b"II*\0" + bytes(64),
    "a file that is none": bytes(range(200, 256)),
}


@pytest.fixture(scope="module")
def isolated() -> Iterator[IsolatedImages]:
    with IsolatedImages() as images:
        yield images


@pytest.mark.parametrize("condition", READ, ids=lambda condition: condition.what)
def test_a_picture_is_read_as_it_looks(tmp_path: Path, condition: Condition, isolated: IsolatedImages) -> None:
    path = tmp_path / "picture"
    path.write_bytes(condition.make())
    expected = np.asarray(drawing()).astype(int)
    for picture in (read_image(path), isolated.read(path)):
        assert picture.shape == expected.shape
        assert np.abs(picture - expected).mean() <= condition.tolerance


@pytest.mark.parametrize(("kind", "content"), REFUSED.items(), ids=list(REFUSED))
def test_what_is_no_picture_is_called_what_it_is(
    tmp_path: Path, kind: str, content: bytes, isolated: IsolatedImages
) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    for read in (read_image, isolated.read):
        with pytest.raises(MediaError, match=f"got {kind}"):
            read(path)
