"""Small recordings made on the spot, so that every test knows exactly what is in its file."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from pylfr.types import UInt8
from pylfr.video.open import FileSource, IsolatedFile, Isolation, open_file
from tests.samples import NOON

RATE_HZ = 10


def write_clip(
    path: Path,
    *,
    frames: int = 30,
    width: int = 64,
    height: int = 48,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    colour_range: int = 0,
    colour_space: int = 0,
    turned: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A recording at 10 Hz: white top left, grey below it, black to the right; frame n carries 8 n grey in a corner."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE_HZ)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        if colour_range:
            stream.codec_context.color_range = colour_range
        if colour_space:
            stream.codec_context.colorspace = colour_space
        if turned is not None:
            stream.set_display_rotation(turned)
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(picture_of(number, width, height), "rgb24")
            reformatted = picture.reformat(format=pixels, dst_color_range=colour_range or None)
            container.mux(stream.encode(reformatted))
        container.mux(stream.encode())
    return path


def picture_of(number: int, width: int, height: int) -> UInt8:
    """RGB picture ``number`` of a clip."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = 255
    picture[height // 2 :, : width // 2] = 128
    picture[-height // 4 :, -width // 4 :] = 8 * number % 256
    return picture


def cut(path: Path, share: float) -> Path:
    """A copy of the file that ends after ``share`` of its bytes."""
    content = path.read_bytes()
    shorter = path.with_name(f"cut-{path.name}")
    shorter.write_bytes(content[: int(len(content) * share)])
    return shorter


def recording(path: Path, *, loop: bool = False, isolation: Isolation = "none") -> FileSource | IsolatedFile:
    """The clip as the camera "north", from noon on."""
    return open_file(path, camera="north", started_at=NOON, loop=loop, isolation=isolation)
