"""A 1080p25 H.264 clip to measure on: real faces walking over a moving background. No accuracy is read from it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from platformdirs import user_cache_path

from pylfr.types import UInt8
from pylfr.video.still import read_image

WIDTH, HEIGHT, RATE = 1920, 1080, 25


def lfw_folder() -> Path:
    """Photographs, one folder a person, under the folder that PYLFR_MEDIA names. Exits where it names none."""
    media = os.environ.get("PYLFR_MEDIA", "")
    if not media:
        raise SystemExit("PYLFR_MEDIA must name the folder that holds lfw/: this is measured on real faces")
    return Path(media) / "lfw"


def face_pictures(count: int) -> list[Path]:
    """Photographs of that many different people."""
    people = sorted(folder for folder in lfw_folder().iterdir() if folder.is_dir())
    step = max(1, len(people) // count)
    return [sorted(person.glob("*.jpg"))[0] for person in people[::step][:count]]


def make_clip(*, faces: int, seconds: int, seed: int = 1) -> Path:
    """The clip with that many faces in every frame; made once and kept in the user's cache."""
    pictures = face_pictures(max(faces, 1))[:faces]
    key = hashlib.sha256(f"2 {faces} {seconds} {seed} {[each.name for each in pictures]}".encode()).hexdigest()[:12]
    path = user_cache_path("pylfr") / "benchmarks" / f"crowd-{faces}-{seconds}s-{key}.mp4"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.mp4")
    _encode(part, pictures, frames=seconds * RATE, seed=seed)
    part.rename(path)
    return path


def _encode(path: Path, pictures: Sequence[Path], *, frames: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    tiles = [
        _tile(picture, round(size))
        for picture, size in zip(pictures, draw.uniform(130, 280, len(pictures)), strict=True)
    ]
    starts = draw.uniform((0, 150), (WIDTH, HEIGHT - 300), (len(tiles), 2))
    speeds = draw.uniform(1.5, 4.0, len(tiles)) * draw.choice([-1, 1], len(tiles))
    background = _background(draw)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "fast", "crf": "23", "g": "50"}
        for number in range(frames):
            picture = Image.fromarray(background[:, 2 * number % WIDTH :][:, :WIDTH])
            for tile, start, speed in zip(tiles, starts, speeds, strict=True):
                span = WIDTH + tile.width
                left = round((start[0] + speed * number) % span) - tile.width
                picture.paste(tile, (left, round(start[1] + 6 * np.sin(number / 6))), tile)
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _tile(picture: Path, size: int) -> Image.Image:
    """A photograph with a soft oval edge, so that it sits in the scene without a frame around it."""
    image = Image.fromarray(read_image(picture)).resize((size, size), Image.Resampling.LANCZOS)
    mask = Image.new("L", (size, size), 0)
    ImageDraw.Draw(mask).ellipse((size * 0.12, size * 0.02, size * 0.88, size * 0.98), fill=255)
    image.putalpha(mask.filter(ImageFilter.GaussianBlur(size / 24)))
    return image


def _background(draw: np.random.Generator) -> UInt8:
    """A textured street of twice the width, so that it can pass by: uint8 [HEIGHT, 2 * WIDTH, 3]."""
    coarse = draw.integers(60, 190, (HEIGHT // 40, WIDTH // 40, 3), dtype=np.uint8)
    wide = Image.fromarray(np.hstack([coarse, coarse])).resize((2 * WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    grain = draw.integers(-6, 7, (HEIGHT, 2 * WIDTH, 1))
    street: UInt8 = np.clip(np.asarray(wide).astype(np.int16) + grain, 0, 255).astype(np.uint8)
    return street
