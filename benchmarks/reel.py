"""Real people on a camera: the recordings of PYLFR_MEDIA, one after the other, as one 1080p25 clip with true alerts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from platformdirs import user_cache_path

from pylfr.types import UInt8
from pylfr.video.decoding.image_io import write_png

RATE = 25
WIDTH, HEIGHT = 1920, 1080
# Name, first second and length in seconds: two people come near, with a street in which nobody can be recognised
# between them.
SCENES = (
    ("one-by-one-person-detection", 0, 6),
    ("head-pose-face-detection-female-and-male", 0, 4),
    ("one-by-one-person-detection", 40, 8),
    ("face-demographics-walking-and-pause", 0, 3),
    ("face-demographics-walking", 0, 2),
    ("one-by-one-person-detection", 80, 7),
)
PEOPLE = {"woman": ("head-pose-face-detection-female", 21), "man": ("head-pose-face-detection-male", 20)}


def video_folder() -> Path:
    """The folder of the recordings. Exits where PYLFR_MEDIA names none."""
    folder = Path(os.environ.get("PYLFR_MEDIA", "")) / "video"
    if not os.environ.get("PYLFR_MEDIA") or not folder.is_dir():
        raise SystemExit("PYLFR_MEDIA must name the folder that holds video/: this is measured on real people")
    return folder


def save_people(folder: Path) -> dict[str, Path]:
    """A reference image of each person whom the reel shows."""
    saved = {}
    for person, (name, number) in PEOPLE.items():
        with av.open(str(video_folder() / f"{name}.mp4")) as container:
            for index, picture in enumerate(container.decode(video=0)):
                if index == number:
                    saved[person] = folder / f"{person}.png"
                    write_png(saved[person], np.asarray(picture.to_ndarray(format="rgb24"), np.uint8))
                    break
    return saved


def make_reel() -> Path:
    """The clip, made once and stored in the user's cache."""
    folder = user_cache_path("pylfr") / "footage"
    path = folder / f"reel-{sum(length for _, _, length in SCENES)}s-{WIDTH}x{HEIGHT}.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part.mp4")
    print(f"making {path.name} (once) ...", flush=True)
    try:
        with av.open(str(part), "w") as container:
            stream: VideoStream = container.add_stream("libx264", rate=Fraction(RATE))
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.options = {"preset": "veryfast", "crf": "26", "g": "50"}
            for number, picture in enumerate(_pictures()):
                # A camera's picture is never still: without grain the repeated pictures would cost nothing.
                grain = np.random.default_rng(number).integers(0, 3, picture.shape, dtype=np.uint8)
                noisy = np.minimum(picture, 250) + grain
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
            container.mux(stream.encode())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _pictures() -> Iterator[UInt8]:
    """Every picture of the clip, uint8 [HEIGHT, WIDTH, 3] RGB: each scene at its own speed, repeated up to the rate."""
    for name, starts_s, length_s in SCENES:
        with av.open(str(video_folder() / f"{name}.mp4")) as container:
            stream = container.streams.video[0]
            own = float(stream.average_rate or RATE)
            shown = 0
            for index, picture in enumerate(container.decode(stream)):
                if index / own < starts_s:
                    continue
                scaled = picture.reformat(width=WIDTH, height=HEIGHT, format="rgb24", interpolation="BICUBIC")
                pixels = np.asarray(scaled.to_ndarray(), np.uint8)
                until = min(length_s * RATE, round(((index + 1) / own - starts_s) * RATE))
                while shown < until:
                    yield pixels
                    shown += 1
                if shown >= length_s * RATE:
                    break
