"""Compose scenes of faces of many sizes from portraits of people who may be learnt from.

Portraits are pasted whole or as soft-edged heads, turned, squeezed, relit, on portraits, noise, gradients and drawn
clutter. Nothing here needs a label: the teaching detector says where the faces of the finished scene are.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from people import lfw_dir, work_dir
from tqdm import tqdm

Image = NDArray[np.uint8]
FACE_PX = (9.0, 230.0)
FACE_WIDTHS_PER_EYE_DISTANCE = 2.2


class Scenes:
    """Random scenes from the portraits of one side of the split."""

    def __init__(self) -> None:
        with np.load(work_dir() / "faces_learn.npz") as file:
            self._landmarks = file["landmarks"]
            paths = file["paths"]
        self._portraits = [cv2.imread(str(lfw_dir() / path)) for path in tqdm(paths, desc="portraits")]

    def scene(self, rng: np.random.Generator, side: int) -> Image:
        """uint8 [side, side, 3], BGR, with none to a dozen faces."""
        canvas = self._background(rng, side)
        largest = np.exp(rng.uniform(np.log(14), np.log(FACE_PX[1] * side / 256)))
        count = int(rng.integers(0, 3 + max(1, 9 - int(largest / 16))))
        for i in range(count):
            wanted = largest if i == 0 else np.exp(rng.uniform(np.log(FACE_PX[0]), np.log(largest)))
            self._paste(rng, canvas, wanted)
        if rng.random() < 0.3:
            draw_clutter(rng, canvas, int(rng.integers(1, 4)))
        return canvas

    def _background(self, rng: np.random.Generator, side: int) -> Image:
        kind = rng.random()
        if kind < 0.45:  # a piece of a portrait, near or far
            portrait = self._portraits[rng.integers(len(self._portraits))]
            h, w = portrait.shape[:2]
            piece = int(np.exp(rng.uniform(np.log(40), np.log(min(h, w)))))
            x, y = rng.integers(0, w - piece + 1), rng.integers(0, h - piece + 1)
            canvas = cv2.resize(portrait[y : y + piece, x : x + piece], (side, side), interpolation=cv2.INTER_LINEAR)
            return canvas[::-1].copy() if rng.random() < 0.3 else canvas
        cells = int(rng.integers(2, 40))
        spread = rng.uniform(5, 70)
        coarse = np.clip(rng.normal(rng.uniform(20, 220, 3), spread, (cells, cells, 3)), 0, 255).astype(np.uint8)
        canvas = cv2.resize(
            coarse, (side, side), interpolation=(cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC)[rng.integers(3)]
        )
        draw_clutter(rng, canvas, int(rng.integers(0, 25)))
        return canvas

    def _paste(self, rng: np.random.Generator, canvas: Image, face_px: float) -> None:
        which = rng.integers(len(self._portraits))
        portrait, points = self._portraits[which], self._landmarks[which]
        h, w = portrait.shape[:2]
        width = FACE_WIDTHS_PER_EYE_DISTANCE * np.linalg.norm(points[1] - points[0])
        scale = face_px / width
        if scale < 0.5:  # cameras average what is far away; so must we, lest small faces glitter
            small = max(8, round(w * scale * 1.4)), max(8, round(h * scale * 1.4))
            portrait, points = cv2.resize(portrait, small, interpolation=cv2.INTER_AREA), points * (small[0] / w)
            scale *= w / small[0]
            h, w = portrait.shape[:2]
        turn = rng.normal(0, np.radians(20))
        squeeze = rng.uniform(0.6, 1.0) if rng.random() < 0.2 else rng.uniform(0.88, 1.12)
        mirror = -1 if rng.random() < 0.5 else 1
        linear = (
            scale
            * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            @ np.diag([squeeze * mirror, 1])
        )
        linear[0, 1] += scale * rng.normal(0, 0.06)
        side = canvas.shape[0]
        place = (
            rng.uniform(-0.15 * face_px, side + 0.15 * face_px, 2)
            if face_px < 0.5 * side
            else side * rng.uniform(0.2, 0.8, 2)
        )
        warp = np.concatenate([linear, (place - linear @ points.mean(0))[:, None]], 1)
        corners = np.array([[0, 0], [w, 0], [w, h], [0, h]]) @ warp[:, :2].T + warp[:, 2]
        low = np.clip(np.floor(corners.min(0)), 0, side).astype(int)
        high = np.clip(np.ceil(corners.max(0)), 0, side).astype(int)
        if (high - low < 4).any():
            return
        warp[:, 2] -= low
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        pasted = cv2.warpAffine(portrait, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = np.zeros((h, w), np.uint8)
        if rng.random() < 0.4:
            mask[1:-1, 1:-1] = 255
        else:
            eye_distance = np.linalg.norm(points[1] - points[0])
            axes = eye_distance * rng.uniform((1.2, 1.6), (2.2, 2.8))
            cv2.ellipse(
                mask,
                (points.mean(0) - (0, 0.2 * eye_distance)).astype(int).tolist(),
                axes.astype(int).tolist(),
                0,
                0,
                360,
                255,
                -1,
            )
            mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, eye_distance * rng.uniform(0.02, 0.2)))
        mask = cv2.warpAffine(mask, warp, size)
        if rng.random() < 0.5:
            light = np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.08, 3))
            pasted = np.clip(pasted * light, 0, 255).astype(np.uint8)
        if rng.random() < 0.15:
            pasted = cv2.cvtColor(cv2.cvtColor(pasted, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        view = canvas[low[1] : high[1], low[0] : high[0]]
        share = mask.astype(np.float32)[..., None] / 255
        view[:] = share * pasted + (1 - share) * view


def draw_clutter(rng: np.random.Generator, canvas: Image, count: int) -> None:
    """Draw boxes, discs, lines and letters: edges that are no faces."""
    side = canvas.shape[0]
    for _ in range(count):
        colour = rng.integers(0, 256, 3).tolist()
        a, b = rng.integers(0, side, 2).tolist(), rng.integers(0, side, 2).tolist()
        kind = rng.integers(5)
        if kind == 0:
            cv2.rectangle(canvas, a, [a[0] + int(rng.integers(3, 70)), a[1] + int(rng.integers(3, 70))], colour, -1)
        elif kind == 1:
            cv2.ellipse(canvas, a, rng.integers(2, 40, 2).tolist(), int(rng.integers(180)), 0, 360, colour, -1)
        elif kind == 2:
            cv2.line(canvas, a, b, colour, int(rng.integers(1, 8)))
        elif kind == 3:
            cv2.circle(canvas, a, int(rng.integers(2, 40)), colour, int(rng.integers(1, 5)))
        else:
            letters = "".join(chr(c) for c in rng.integers(48, 91, 5))
            cv2.putText(
                canvas,
                letters,
                a,
                cv2.FONT_HERSHEY_SIMPLEX,
                float(rng.uniform(0.3, 2)),
                colour,
                int(rng.integers(1, 4)),
            )


def seen_badly(rng: np.random.Generator, scene: Image) -> Image:
    """The scene as a poorer camera gives it; the teacher has seen the better one."""
    if rng.random() < 0.35:
        ramp = np.arange(256) / 255.0
        curve = ramp ** np.exp(rng.normal(0.1, 0.35)) * np.exp(rng.normal(-0.15, 0.3)) + rng.normal(0, 0.04)
        scene = cv2.LUT(scene, np.clip(curve * 255, 0, 255).astype(np.uint8))
    if rng.random() < 0.2:  # haze: blacks that are grey
        dark = rng.uniform(0, 90)
        scene = cv2.LUT(scene, np.linspace(dark, rng.uniform(dark + 60, 255), 256).astype(np.uint8))
    if rng.random() < 0.15:
        scene = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.3, 1.0))
    if rng.random() < 0.2:
        noise = np.empty(scene.shape, np.int16)
        cv2.randn(noise, 0, float(rng.uniform(2, 12)))
        scene = np.clip(scene + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, coded = cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        scene = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return scene
