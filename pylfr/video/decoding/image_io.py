"""Pictures in and out of files: checked before they are decoded, written whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pylfr._internal.atomic_file import write_whole
from pylfr.errors import MediaError, PylfrError
from pylfr.types import UInt8
from pylfr.video.decoding.file_kinds import kind_of_file

# A reference image needs a few hundred pixels a face; these keep a hostile file from taking the memory.
MAX_SIDE_PX = 16_384
MAX_PIXELS = 50_000_000
MAX_BYTES = 200_000_000

# What people keep photographs in. Pillow reads some forty formats more, of which a hostile file could pick the weakest.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "AVIF", "HEIF")

# What telephones write, by the brand in the file's first bytes (ISO/IEC 23008-12, AV1 Image File Format).
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc"), "HEIC")}
_GENERAL_BRANDS = (b"mif1", b"msf1")

_JPEG_QUALITY = 92
_LOOKED_AT = 512


def read_image(source: Path | str | bytes | BinaryIO) -> UInt8:
    """The picture as uint8 [H, W, 3] RGB: upright by its EXIF orientation, what is transparent on white.

    ``source`` is a path, the bytes of a picture file, or a file that is open for reading bytes. 16-bit pictures are
    scaled to 8 bits. Raises ``MediaError`` where there is no picture, it is damaged, it has more than ``MAX_SIDE_PX`` a
    side or ``MAX_PIXELS`` in all, or the file is larger than ``MAX_BYTES``. It is decoded in this process: for pictures
    of unknown origin use ``pylfr.video.isolation.client.read_image_isolated``.
    """
    if isinstance(source, Path | str):
        with closing_descriptor(open_picture(source)) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
            return decode_image(file.read(), name=f"image {source}")
    if isinstance(source, bytes | bytearray | memoryview):
        content, name = bytes(source), "image in memory"
    else:
        content, name = source.read(MAX_BYTES + 1), f"image {getattr(source, 'name', 'in a file object')}"
        if not isinstance(content, bytes):
            raise TypeError(f"{name} must be open for reading bytes (mode 'rb'), it gave {type(content).__name__}")
    if not content:
        raise MediaError(f"{name} must be a picture, got zero bytes")
    if len(content) > MAX_BYTES:
        raise MediaError(f"{name} must have at most {MAX_BYTES:,} bytes, got more: scale it down")
    return decode_image(content, name=name)


def open_picture(path: Path | str) -> int:
    """A descriptor of the file, for reading; it is the caller's. Raises ``MediaError`` where it cannot be a picture."""
    path = Path(path)
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing there"
        raise MediaError(f"image {path} must be a file, got {got}: check the path")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MediaError(f"image {path} cannot be read: {error.strerror}; check who may read it") from error
    size = os.fstat(descriptor).st_size
    if 0 < size <= MAX_BYTES:
        return descriptor
    os.close(descriptor)
    if size == 0:
        raise MediaError(f"image {path} must be a picture, got a file of zero bytes: copy it again")
    raise MediaError(f"image {path} must be a file of at most {MAX_BYTES:,} bytes, got {size:,}: scale it down")


@contextlib.contextmanager
def closing_descriptor(descriptor: int) -> Iterator[int]:
    """The descriptor, closed afterwards."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@functools.cache
def load_formats() -> None:
    """Import what reads the formats that are taken, so that nothing needs to be imported later."""
    Image.preinit()
    for plugin in ("JpegImagePlugin", "PngImagePlugin", "TiffImagePlugin", "WebPImagePlugin", "MpoImagePlugin"):
        importlib.import_module(f"PIL.{plugin}")
    # The last converts pictures in CIE Lab, as scanners leave them in TIFF.
    for module, opener in (
        ("PIL.AvifImagePlugin", None),
        ("pillow_heif", "register_heif_opener"),
        ("PIL.ImageCms", None),
    ):
        with contextlib.suppress(ImportError):
            loaded = importlib.import_module(module)
            if opener is not None:
                # One thread: the confined process may start others, but nobody waits for it.
                getattr(loaded, opener)(thumbnails=False, decode_threads=1)


def decode_image(content: bytes, *, name: str) -> UInt8:
    """The picture in ``content``, as ``read_image`` gives it; messages call it ``name``."""
    load_formats()
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on; the check below is stricter and names the file.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # And for tags that are damaged, where the picture is whole.
            warnings.simplefilter("ignore", UserWarning)
            # Pillow fails on a format that nothing is loaded for, as HEIF where the extra is not installed.
            loaded = [format_ for format_ in FORMATS if format_ in Image.OPEN]
            picture = Image.open(io.BytesIO(content), formats=loaded)
            with picture:
                _check_size(name, picture)
                return _as_rgb(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError as error:
        raise MediaError(f"{name} must be a JPEG, PNG or other picture, got {_named(content)}") from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{name} must have at most {MAX_PIXELS:,} pixels, got far more: scale it down") from error
    except PermissionError as error:
        # Nothing is wrong with the picture: whatever reads it wanted more than the confined process may.
        raise MediaError(
            f"{name} cannot be decoded in isolation ({error}): convert it to JPEG or PNG, and report this"
        ) from error
    # What decodes AVIF raises RuntimeError.
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        raise MediaError(f"{name} must be a whole picture, got one that is damaged or cut off: {error}") from error


def _named(content: bytes) -> str:
    """What a file that Pillow cannot read is, and what reads it."""
    kind = kind_of_file(content[:_LOOKED_AT])
    if content[4:8] != b"ftyp":
        return "a file that is none" if kind is None else f"{kind}: convert it to JPEG or PNG"
    brands = [content[8:12], *(content[place : place + 4] for place in range(16, 40, 4))]
    known = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    if known is None and not any(brand in _GENERAL_BRANDS for brand in brands):
        return f"{kind}: name a picture"
    if known == "AVIF":
        return "AVIF, which this Pillow cannot read: pip install -U pillow, or convert it to JPEG"
    return "HEIC, as iPhones write it: pip install 'pylfr[heic]', or convert it to JPEG"


def write_jpeg(path: Path | str, rgb: UInt8) -> None:
    """Write uint8 [H, W, 3] RGB as a JPEG. Raises ``PylfrError``, and leaves what was there, where that fails."""
    _write(Path(path), rgb, "JPEG")


def write_png(path: Path | str, rgb: UInt8) -> None:
    """As ``write_jpeg``, without loss."""
    _write(Path(path), rgb, "PNG")


def _check_size(name: str, picture: Image.Image) -> None:
    width, height = picture.size
    if max(width, height) > MAX_SIDE_PX:
        raise MediaError(f"{name} must have at most {MAX_SIDE_PX:,} pixels a side, got {width}x{height}: scale it down")
    if width * height > MAX_PIXELS:
        raise MediaError(f"{name} must have at most {MAX_PIXELS:,} pixels, got {width}x{height}: scale it down")


def _as_rgb(picture: Image.Image) -> UInt8:
    if picture.mode.startswith("I"):
        # 16-bit grey: Pillow would clip it to 255 instead of scaling.
        grey = (np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if picture.has_transparency_data:
        layers = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
    return np.array(picture.convert("RGB"))


def _write(path: Path, rgb: UInt8, image_format: str) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb must be uint8 [H, W, 3], got {rgb.dtype.name} {list(rgb.shape)}")
    # Encoded in memory first: Pillow does not notice when a full disk takes only a part of what it writes.
    encoded = io.BytesIO()
    Image.fromarray(rgb).save(encoded, image_format, quality=_JPEG_QUALITY)
    try:
        write_whole(path, encoded.getvalue())
    except OSError as error:
        reason = error.strerror or str(error)
        raise PylfrError(f"picture {path} cannot be written: {reason}; check the folder and its free space") from error
