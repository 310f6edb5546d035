"""A made-up crowd on video with exact truth: photographs of faces walk towards the camera, each on its own path.

What it shows of a real crowd: size, place, motion blur, uneven light, things in front, people in front of each other,
compression. What it does not: heads do not turn and faces do not move between the photographs of one person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFilter

from pylfr.evaluation.video.passes import SubjectPass, write_truth
from pylfr.types import Float32, UInt8

WIDTH, HEIGHT, RATE = 1920, 1080, 25

# Another photograph of the same person takes over this often, standing in for a turn of the head.
_PHOTOGRAPH_S = 0.8
_OCCLUDED_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A square picture around one face, uint8 [S, S, 3] RGB; ``box`` is the face in it, xyxy as shares of the side."""

    picture: UInt8
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walker:
    """Somebody who walks past: the truth's name, whether it is on the watchlist, and the pictures that are shown."""

    subject: str
    is_mated: bool
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdRules:
    """How the crowd walks. Sizes are the longer side of a face in pixels, from far to near."""

    lanes: int = 6
    far_px: tuple[float, float] = (20.0, 36.0)
    near_px: tuple[float, float] = (90.0, 200.0)
    walk_s: tuple[float, float] = (3.0, 5.0)
    pause_s: tuple[float, float] = (0.2, 1.0)
    crf: int = 26


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Walk:
    walker: Walker
    sprites: tuple[Image.Image, ...]
    first: int
    frames: int
    far_px: float
    near_px: float
    from_x: float
    drift_px: float
    bob_px: float
    gain: float
    occluded: tuple[float, float] | None

    def size_px(self, number: int) -> float:
        """At a steady pace size goes with one over the distance left."""
        gone = (number - self.first) / max(self.frames - 1, 1)
        return self.far_px / (1 - gone * (1 - self.far_px / self.near_px))

    def centre(self, number: int) -> tuple[float, float]:
        gone = (number - self.first) / max(self.frames - 1, 1)
        size = self.size_px(number)
        bob = self.bob_px * size / self.near_px * np.sin(2 * np.pi * 1.9 * number / RATE)
        return self.from_x + self.drift_px * gone, 240 + 1.7 * size + float(bob)

    def shown(self, number: int) -> int:
        """Which of the walker's photographs is shown."""
        return int((number - self.first) / RATE / _PHOTOGRAPH_S) % len(self.sprites)

    def place(self, number: int) -> tuple[int, int, int]:
        """Left and top of the painted picture, and its side, pixels."""
        face = self.walker.heads[self.shown(number)].box
        side = max(4, round(self.size_px(number) / max(face[2] - face[0], face[3] - face[1])))
        x, y = self.centre(number)
        return round(x - side / 2), round(y - side / 2), side

    def face(self, number: int) -> tuple[float, float, float, float]:
        """The face's box, xyxy pixels, as far as it is in the picture."""
        left, top, side = self.place(number)
        box = np.array(self.walker.heads[self.shown(number)].box) * side + np.array([left, top, left, top])
        x1, y1, x2, y2 = np.clip(box, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).round(1).tolist()
        return x1, y1, x2, y2


def cut_head(picture: UInt8, box: Float32, *, side_px: int = 224, margin: float = 1.9) -> Head:
    """The square around a face, ``margin`` times its longer side, grey where the picture ends; ``box`` float32 [4]."""
    x1, y1, x2, y2 = (float(each) for each in box)
    span = margin * max(x2 - x1, y2 - y1)
    left, top = (x1 + x2 - span) / 2, (y1 + y2 - span) / 2
    cut = Image.fromarray(picture).transform(
        (side_px, side_px),
        Image.Transform.EXTENT,
        (left, top, left + span, top + span),
        Image.Resampling.BILINEAR,
        fillcolor=(110, 110, 110),
    )
    return Head(
        picture=np.asarray(cut),
        box=((x1 - left) / span, (y1 - top) / span, (x2 - left) / span, (y2 - top) / span),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A crowd that has been planned: who walks where and when, over a street. Made by ``plan_crowd``."""

    walks: tuple[_Walk, ...]
    street: UInt8
    crf: int

    def __len__(self) -> int:
        """The number of frames."""
        return max(walk.first + walk.frames for walk in self.walks) + RATE // 2

    def paint(self, number: int) -> UInt8:
        """Frame ``number``, uint8 [HEIGHT, WIDTH, 3] RGB, before compression."""
        frame = self.street.copy()
        here = [walk for walk in self.walks if walk.first <= number < walk.first + walk.frames]
        # Who is nearer is painted later, in front.
        for walk in sorted(here, key=lambda each: each.size_px(number)):
            _paint(frame, walk, number)
        return frame

    def packets(self) -> Iterator[av.Packet[VideoStream]]:
        """All frames as H.264, packet by packet."""
        encoder = VideoCodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        encoder.framerate, encoder.time_base = Fraction(RATE), Fraction(1, RATE)
        encoder.options = dict(self.coding)
        for number in range(len(self)):
            picture = av.VideoFrame.from_ndarray(self.paint(number), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            yield from encoder.encode(picture)
        yield from encoder.encode(None)

    @property
    def coding(self) -> Mapping[str, str]:
        return {"preset": "ultrafast", "crf": str(self.crf), "g": "50"}

    def truth(self, camera: str) -> tuple[SubjectPass, ...]:
        """Who passes when, with the face's box in every frame."""
        return tuple(
            SubjectPass(
                camera=camera,
                subject=walk.walker.subject,
                is_mated=walk.walker.is_mated,
                starts_s=walk.first / RATE,
                ends_s=(walk.first + walk.frames - 1) / RATE,
                path=tuple(
                    (number / RATE, *walk.face(number)) for number in range(walk.first, walk.first + walk.frames)
                ),
            )
            for walk in self.walks
        )


def plan_crowd(walkers: Sequence[Walker], *, seed: int = 0, rules: CrowdRules | None = None) -> Scene:
    """Who walks where and when: the same walkers, seed and rules give the same scene.

    Raises ``ValueError`` for nobody, or somebody without a head.
    """
    rules = rules or CrowdRules()
    if not walkers or not all(walker.heads for walker in walkers):
        raise ValueError("a crowd needs walkers, and each of them a head to show")
    draw = np.random.default_rng(seed)
    return Scene(walks=tuple(_plan(walkers, rules, draw)), street=_street(draw), crf=rules.crf)


def render_crowd(
    walkers: Sequence[Walker], folder: Path, *, camera: str, seed: int = 0, rules: CrowdRules | None = None
) -> tuple[SubjectPass, ...]:
    """Write ``camera.mp4`` (1080p, 25 frames a second, H.264) and ``camera.json``, the truth, into ``folder``.

    The same walkers, seed and rules give the same frames. Raises ``ValueError`` for nobody, or somebody without a head.
    """
    scene = plan_crowd(walkers, seed=seed, rules=rules)
    with av.open(str(folder / f"{camera}.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = dict(scene.coding)
        for number in range(len(scene)):
            for packet in stream.encode(av.VideoFrame.from_ndarray(scene.paint(number), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    truth = scene.truth(camera)
    write_truth(truth, folder / f"{camera}.json")
    return truth


def _plan(walkers: Sequence[Walker], rules: CrowdRules, draw: np.random.Generator) -> list[_Walk]:
    """One walk for each walker: each lane is walked by one person after the other."""
    free = np.zeros(rules.lanes)
    width = WIDTH / rules.lanes
    walks = []
    for walker in walkers:
        lane = int(np.argmin(free))
        frames = int(draw.uniform(*rules.walk_s) * RATE)
        first = int(free[lane] + draw.uniform(*rules.pause_s) * RATE)
        free[lane] = first + frames
        begin = float(draw.uniform(0.0, 0.7))
        walks.append(
            _Walk(
                walker=walker,
                sprites=tuple(_sprite(head) for head in walker.heads),
                first=first,
                frames=frames,
                far_px=float(draw.uniform(*rules.far_px)),
                near_px=float(draw.uniform(*rules.near_px)),
                from_x=(lane + 0.5) * width + float(draw.uniform(-0.25, 0.25)) * width,
                drift_px=float(draw.uniform(-0.35, 0.35)) * width,
                bob_px=float(draw.uniform(4, 12)),
                gain=float(draw.uniform(0.6, 1.15)),
                occluded=(begin, begin + 0.3) if draw.random() < _OCCLUDED_SHARE else None,
            )
        )
    return walks


def _sprite(head: Head) -> Image.Image:
    """The head with a soft oval edge, so that it stands in the scene without a frame around it."""
    image = Image.fromarray(head.picture)
    side = image.width
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).ellipse((side * 0.1, side * 0.02, side * 0.9, side * 0.98), fill=255)
    image.putalpha(mask.filter(ImageFilter.GaussianBlur(side / 24)))
    return image


def _paint(frame: UInt8, walk: _Walk, number: int) -> None:
    """Paint one head into ``frame``, uint8 [HEIGHT, WIDTH, 3]."""
    left, top, side = walk.place(number)
    x, y = walk.centre(number)
    sprite = walk.sprites[walk.shown(number)].resize((side, side), Image.Resampling.BILINEAR)
    pixels = np.asarray(sprite, np.float32)
    light = walk.gain * (0.75 + 0.4 * x / WIDTH)
    colour, alpha = pixels[:, :, :3] * light, pixels[:, :, 3:] / 255
    gone = (number - walk.first) / walk.frames
    if walk.occluded is not None and walk.occluded[0] <= gone < walk.occluded[1]:
        # Something held before mouth and chin.
        colour[round(side * 0.56) :] = 70 * light
    speed = abs(x - walk.centre(number - 1)[0]) + abs(y - walk.centre(number - 1)[1]) + 0.02 * side
    taps = int(np.clip(round(0.5 * speed), 1, 7))
    if taps > 1:
        # The shutter is open while the head moves: the mean of shifted pictures, along the greater motion.
        colour = np.mean([np.roll(colour, shift - taps // 2, axis=shift % 2) for shift in range(taps)], axis=0)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + side, WIDTH), min(top + side, HEIGHT)
    if x2 > x1 and y2 > y1:
        part = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
        under = frame[y1:y2, x1:x2]
        blended = under + alpha[part] * (colour[part] - under)
        frame[y1:y2, x1:x2] = np.clip(blended, 0, 255).astype(np.uint8)


def _street(draw: np.random.Generator) -> UInt8:
    """A still, textured background: uint8 [HEIGHT, WIDTH, 3]."""
    coarse = draw.integers(70, 180, (HEIGHT // 60, WIDTH // 60, 3), dtype=np.uint8)
    wide = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
    street: UInt8 = np.clip(wide + draw.integers(-5, 6, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)
    return street
