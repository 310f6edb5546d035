"""A synthetic crowd on video with exact truth: photographs of faces walk towards the camera, each on its own path.

What it shows of a real crowd: size, place, motion blur, uneven light, things in front, people in front of each other,
compression, and as far as ``Difficulties`` asks for it: turning and averted heads, close followers, people who cross or
are out of sight for a moment, cuts of the picture. What it does not: faces do not move between the photographs of one
person, and a turned head is a cylinder.
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

from pylfr.evaluation.crowd.painting import make_street, paint_head
from pylfr.evaluation.crowd.planning import CrowdRules, Plan, plan_walks
from pylfr.evaluation.crowd.walk import HEIGHT, RATE, WIDTH, Walk, Walker
from pylfr.evaluation.video.passes import SubjectPass, write_truth
from pylfr.types import UInt8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A planned crowd: who walks where and when, over one street after the other. Made by ``plan_crowd``."""

    plan: Plan
    streets: tuple[UInt8, ...]
    coding: Mapping[str, str]

    def __len__(self) -> int:
        """The number of frames."""
        return max(walk.leaves for walk in self.plan.walks) + RATE // 2

    def paint(self, number: int) -> UInt8:
        """Frame ``number``, uint8 [HEIGHT, WIDTH, 3] RGB, before compression."""
        frame = self.streets[sum(cut <= number for cut in self.plan.cuts)].copy()
        in_view = [walk for walk in self.plan.walks if walk.is_in_view(number)]
        # Who is nearer is painted later, in front.
        for walk in sorted(in_view, key=lambda each: each.size_px(number)):
            paint_head(frame, walk, number)
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

    def truth(self, camera: str) -> tuple[SubjectPass, ...]:
        """Who passes when, with the face's box in every frame in which it is not hidden."""
        return tuple(
            SubjectPass(
                camera=camera,
                subject=walk.walker.subject,
                is_mated=walk.walker.is_mated,
                starts_s=walk.enters / RATE,
                ends_s=(walk.leaves - 1) / RATE,
                path=tuple(
                    (number / RATE, *walk.face(number))
                    for number in range(walk.enters, walk.leaves)
                    if not walk.is_hidden(number)
                ),
            )
            for walk in self.plan.walks
        )

    def visibility(self, walk: Walk, number: int) -> float:
        """The share of the face's box that no nearer head covers; 0 where it is hidden or not in view."""
        if not walk.is_in_view(number) or walk.is_hidden(number):
            return 0.0
        x1, y1, x2, y2 = walk.face(number)
        if x2 - x1 < 1 or y2 - y1 < 1:
            return 0.0
        ys, xs = np.mgrid[y1:y2:12j, x1:x2:12j]
        free = np.ones(ys.shape, bool)
        for other in self.plan.walks:
            if other is not walk and other.is_in_view(number) and other.size_px(number) > walk.size_px(number):
                left, top, side = other.place(number)
                oval = ((xs - left) / side - 0.5) ** 2 / 0.16 + ((ys - top) / side - 0.5) ** 2 / 0.23
                free &= oval > 1
        return float(free.mean())


def plan_crowd(walkers: Sequence[Walker], *, seed: int = 0, rules: CrowdRules | None = None) -> Scene:
    """Who walks where and when: the same walkers, seed and rules give the same scene.

    Raises ``ValueError`` for nobody, or somebody without a head.
    """
    rules = rules or CrowdRules()
    if not walkers or not all(walker.heads for walker in walkers):
        raise ValueError("a crowd needs walkers, and each of them a head to show")
    draw = np.random.default_rng(seed)
    plan = plan_walks(walkers, rules, draw, seed=seed)
    coding = {"preset": rules.preset, "crf": str(rules.crf), "g": str(rules.key_every)}
    return Scene(plan=plan, streets=tuple(make_street(draw) for _ in range(len(plan.cuts) + 1)), coding=coding)


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
