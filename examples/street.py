"""A short 1080p25 H.264 video of people walking past a camera, made from portraits, with the truth of who walks when.

Faces come nearer and grow, sway, darken in a shadow, blur with motion and sharpen again. A re-treated photograph is an
easy case: this shows that the engine runs, and measures nothing about accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter
from rich.progress import track

from pylfr.types import UInt8

WIDTH, HEIGHT, RATE = 1920, 1080, 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """One person's way through the picture: when, where (centre, 0 to 1), and how tall the portrait is, in pixels."""

    name: str
    starts_s: float
    lasts_s: float
    across: tuple[float, float]
    tall_px: tuple[float, float]


def render(path: Path, portraits: Mapping[str, UInt8], walks: Sequence[Walk], *, seconds: float, seed: int = 7) -> None:
    """Write the video. ``portraits`` are uint8 [H, W, 3] RGB, head and shoulders."""
    draw = np.random.default_rng(seed)
    # The sensor's noise: a few streets that differ in grain, shown in turn.
    streets = [_grain(_street(np.random.default_rng(seed)), draw) for _ in range(6)]
    cut_out = {name: _cut_out(portrait) for name, portrait in portraits.items()}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "24"}
        for number in track(range(round(seconds * RATE)), description="making a street of portraits"):
            picture = streets[number % len(streets)].copy()
            for walk in sorted(walks, key=lambda each: each.tall_px[1]):
                _place(picture, cut_out[walk.name], walk, number / RATE)
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _place(picture: Image.Image, person: Image.Image, walk: Walk, at_s: float) -> None:
    along = (at_s - walk.starts_s) / walk.lasts_s
    if not 0 <= along <= 1:
        return
    tall = walk.tall_px[0] + (walk.tall_px[1] - walk.tall_px[0]) * along**1.5
    figure = person.resize((round(tall * person.width / person.height), round(tall)), Image.Resampling.LANCZOS)
    figure = figure.rotate(3 * np.sin(5 * at_s), Image.Resampling.BICUBIC)
    light = 1.0 - 0.45 * np.exp(-(((along - 0.45) / 0.12) ** 2))
    blur = 2.2 * np.exp(-(((along - 0.7) / 0.08) ** 2))
    shaded = (
        ImageEnhance.Brightness(figure.convert("RGB"))
        .enhance(float(light))
        .filter(ImageFilter.GaussianBlur(float(blur)))
    )
    x = walk.across[0] + (walk.across[1] - walk.across[0]) * along
    y = 0.30 + 0.22 * along
    corner = (round(x * WIDTH - figure.width / 2), round(y * HEIGHT - figure.height / 3 + 5 * np.sin(9 * at_s)))
    picture.paste(shaded, corner, figure.getchannel("A"))


def _cut_out(portrait: UInt8) -> Image.Image:
    """The portrait with a soft oval edge, so that no frame of its photograph walks along."""
    image = Image.fromarray(portrait)
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((4, 4, image.width - 4, image.height - 4), fill=255)
    image.putalpha(mask.filter(ImageFilter.GaussianBlur(image.width / 40)))
    return image


def _grain(street: Image.Image, draw: np.random.Generator) -> Image.Image:
    noisy = np.asarray(street).astype(np.int16) + draw.integers(-5, 6, (HEIGHT, WIDTH, 1))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _street(draw: np.random.Generator) -> Image.Image:
    """A wall, a pavement and a few soft shapes between them."""
    rows = np.linspace(150, 90, HEIGHT)[:, None, None] + np.array([4, 0, -6])
    picture = Image.fromarray(np.broadcast_to(rows, (HEIGHT, WIDTH, 3)).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(14):
        left, top, wide, tall = draw.integers((0, 0, 60, 80), (WIDTH, HEIGHT * 2 // 3, 300, 420)).tolist()
        grey = int(draw.integers(70, 180))
        pen.rectangle((left, top, left + wide, top + tall), fill=(grey, grey, grey - 8))
    return picture.filter(ImageFilter.GaussianBlur(6))
