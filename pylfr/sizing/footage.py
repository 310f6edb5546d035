"""A clip to play as a camera: faces that walk over a moving or a still background. No accuracy is read from it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFilter
from platformdirs import user_cache_path

from pylfr._internal.private_folder import make_private_folder
from pylfr.errors import ConfigError
from pylfr.evaluation.images.people import IMAGE_SUFFIXES
from pylfr.sizing.measured_load import RATE
from pylfr.types import UInt8
from pylfr.video.decoding.image_io import read_image

Codec = Literal["h264", "hevc"]
_ENCODERS: dict[Codec, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "fast", "crf": "23", "g": "50"}),
    "hevc": ("libx265", {"preset": "fast", "crf": "26", "g": "50", "x265-params": "log-level=error"}),
}
# Faces of a few people are as large as near ones are; a crowd must share the picture.
_FACE_PX = (130.0, 280.0)
_MOST_COVERED = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRules:
    """What the clip shows and how it is encoded; ``faces`` are in every frame.

    A ``still`` background is what a camera that is mounted sees; one that moves costs more to decode, and to analyse.
    """

    faces: int = 3
    seconds: int = 10
    codec: Codec = "h264"
    width: int = 1920
    height: int = 1080
    seed: int = 1
    still: bool = False

    def __post_init__(self) -> None:
        if self.codec not in _ENCODERS:
            raise ValueError(f"codec must be one of {', '.join(_ENCODERS)}, got {self.codec!r}")
        if self.faces < 0 or self.seconds < 1:
            raise ValueError(f"faces must be 0 or more and seconds 1 or more, got {self.faces} and {self.seconds}")
        if self.width < 160 or self.height < 120 or self.width % 2 or self.height % 2:
            raise ValueError(f"a clip must be at least 160x120 and of even sides, got {self.width}x{self.height}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Portraits:
    """Pictures of faces, uint8 [H, W, 3] RGB each, and where they come from, in words."""

    pictures: tuple[UInt8, ...]
    source: str


def find_portraits(folder: Path | None, *, count: int) -> Portraits:
    """Up to ``count`` portraits: of ``folder``, one a person; else of PYLFR_MEDIA; else what this machine has.

    Without any folder these are the public-domain portraits that scikit-image and Matplotlib carry, where they are
    installed, else a drawing. Raises ``ConfigError`` where a named folder holds no picture.
    """
    media = os.environ.get("PYLFR_MEDIA", "")
    if folder is None and media and (Path(media) / "lfw").is_dir():
        folder = Path(media) / "lfw"
    if folder is not None:
        people = _one_a_person(folder)
        if not people:
            raise ConfigError(f"{folder} must hold pictures of faces, or folders of them, got none")
        step = max(1, len(people) // max(count, 1))
        return Portraits(
            pictures=tuple(read_image(path) for path in people[::step][: max(count, 1)]),
            source=f"photographs of {folder.name}",
        )
    carried = _carried()
    if carried:
        return Portraits(pictures=carried, source="public-domain portraits that installed packages carry")
    return Portraits(pictures=(_drawn_face(),), source="a drawn face: no portrait is installed here")


def make_clip(
    rules: ClipRules,
    portraits: Portraits,
    *,
    folder: Path | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Path:
    """The clip, made once and cached in ``folder`` (by default the user's cache); fewer portraits are shown again."""
    shown = [portraits.pictures[number % len(portraits.pictures)] for number in range(rules.faces)]
    told = hashlib.sha256(f"4 {rules}".encode())
    for picture in shown:
        told.update(picture.tobytes())
    folder = user_cache_path("pylfr") / "footage" if folder is None else folder
    name = (
        f"{rules.faces}-faces-{rules.width}x{rules.height}-{rules.codec}-{rules.seconds}s-{told.hexdigest()[:12]}.mp4"
    )
    path = folder / name
    if path.exists():
        return path
    make_private_folder(folder)
    part = path.with_suffix(f".{os.getpid()}.part.mp4")
    try:
        part.touch(mode=0o600)  # it shows people
        _encode(part, shown, rules, progress)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _encode(path: Path, shown: Sequence[UInt8], rules: ClipRules, progress: Callable[[int, int], None]) -> None:
    draw = np.random.default_rng(rules.seed)
    width, height, frames = rules.width, rules.height, rules.seconds * RATE
    scale = height / 1080
    room = float(np.sqrt(_MOST_COVERED * width * height / max(len(shown), 1)))
    largest = min(_FACE_PX[1] * scale, room)
    sizes = draw.uniform(min(_FACE_PX[0] * scale, largest * 0.6), largest, len(shown))
    tiles = [_tile(picture, max(8, round(size))) for picture, size in zip(shown, sizes, strict=True)]
    # Rows from top to bottom, so that a crowd does not hide itself.
    rows = (np.arange(len(tiles)) + draw.uniform(0.2, 0.8, len(tiles))) / max(len(tiles), 1)
    starts = np.stack([draw.uniform(0, width, len(tiles)), 0.08 * height + rows * 0.65 * height], axis=1)
    speeds = draw.uniform(1.5, 4.0, len(tiles)) * draw.choice([-1, 1], len(tiles)) * scale
    background = _background(draw, width, height)
    encoder, options = _ENCODERS[rules.codec]
    with av.open(str(path), "w") as container:
        stream: VideoStream = container.add_stream(encoder, rate=Fraction(RATE))  # type: ignore[assignment]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = dict(options)
        for number in range(frames):
            passed = 0 if rules.still else 2 * number % width
            picture = Image.fromarray(background[:, passed:][:, :width])
            for tile, start, speed in zip(tiles, starts, speeds, strict=True):
                span = width + tile.width
                left = round((start[0] + speed * number) % span) - tile.width
                picture.paste(tile, (left, round(start[1] + 6 * scale * np.sin(number / 6))), tile)
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")):
                container.mux(packet)
            progress(number + 1, frames)
        for packet in stream.encode():
            container.mux(packet)


def _tile(picture: UInt8, size: int) -> Image.Image:
    """A photograph with a soft oval edge, so that it sits in the scene without a frame around it."""
    image = Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS)
    mask = Image.new("L", (size, size), 0)
    ImageDraw.Draw(mask).ellipse((size * 0.12, size * 0.02, size * 0.88, size * 0.98), fill=255)
    image.putalpha(mask.filter(ImageFilter.GaussianBlur(size / 24)))
    return image


def _background(draw: np.random.Generator, width: int, height: int) -> UInt8:
    """A textured street of twice the width, so that it can pass by: uint8 [height, 2 * width, 3]."""
    coarse = draw.integers(60, 190, (max(1, height // 40), max(1, width // 40), 3), dtype=np.uint8)
    wide = Image.fromarray(np.hstack([coarse, coarse])).resize((2 * width, height), Image.Resampling.BICUBIC)
    grain = draw.integers(-6, 7, (height, 2 * width, 1))
    street: UInt8 = np.clip(np.asarray(wide).astype(np.int16) + grain, 0, 255).astype(np.uint8)
    return street


def _one_a_person(folder: Path) -> list[Path]:
    """The first picture of every sub-folder, and all that lie in the folder itself."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} must be a folder of portraits: check the path")
    found = []
    for each in sorted(folder.iterdir()):
        if each.is_dir():
            found += sorted(path for path in each.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)[:1]
        elif each.suffix.lower() in IMAGE_SUFFIXES:
            found.append(each)
    return found


def _carried() -> tuple[UInt8, ...]:
    """Portraits that come with installed packages: Eileen Collins (NASA), Grace Hopper (US Navy). Reads files only."""
    found: list[UInt8] = []
    for package, inside, (top, bottom, left, right) in (
        ("skimage", "data/astronaut.png", (0, 220, 115, 335)),
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (20, 400, 80, 460)),
    ):
        spec = find_spec(package)
        path = Path(spec.origin).parent / inside if spec is not None and spec.origin else None
        if path is not None and path.exists():
            found.append(np.ascontiguousarray(read_image(path)[top:bottom, left:right]))
    return tuple(found)


def _drawn_face() -> UInt8:
    """A face of few strokes, uint8 [256, 256, 3]: enough for some detectors, not for all."""
    picture = Image.new("RGB", (256, 256), (96, 104, 116))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((52, 16, 204, 246), fill=(60, 44, 36))
    pen.ellipse((62, 40, 194, 240), fill=(205, 164, 138))
    for x in (98, 158):
        pen.ellipse((x - 15, 108, x + 15, 126), fill=(236, 232, 226))
        pen.ellipse((x - 7, 109, x + 7, 125), fill=(40, 30, 26))
        pen.arc((x - 22, 88, x + 22, 112), 200, 340, fill=(64, 46, 38), width=6)
    pen.polygon([(128, 122), (114, 164), (142, 164)], fill=(184, 138, 112))
    pen.ellipse((113, 158, 143, 172), fill=(176, 128, 104))
    pen.ellipse((98, 186, 158, 208), fill=(160, 74, 70))
    pen.line((100, 196, 156, 196), fill=(110, 44, 44), width=3)
    face: UInt8 = np.asarray(picture.filter(ImageFilter.GaussianBlur(2.2)))
    return face
