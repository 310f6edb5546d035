"""Compose scenes of faces of many sizes from portraits of people who may be learnt from.

Portraits are pasted whole or as soft-edged heads, turned, covered, squeezed, relit, on portraits, faceless pieces of
them (clothes, collars, flags, rooms), noise, gradients and drawn clutter. Where each face is in the finished scene
follows from how it was pasted, and so does how much of it can still be seen. Where there are pieces that a detector
took for faces (`prepare_mistaken.py`), a part of the scenes shows them and nobody.
"""

from __future__ import annotations

import cv2
import numpy as np
from labels import Labels
from numpy.typing import NDArray
from portraits import Portrait, faceless_pictures, load_portraits, mistaken_pictures

Image = NDArray[np.uint8]
FACE_PX = (9.0, 230.0)
LEAST_PX = 8.0  # smaller faces are neither found nor missed
SEEN, GONE = 0.45, 0.03  # the shares of a face that make it one to find, and none at all
HEAD_RADIUS = 0.72  # of the taller side of a face: a head is an upright cylinder
DRAWN = -1  # whose pixels clutter is
NOBODY, MISTAKEN = 0.35, 0.6  # the shares of scenes with nobody, and of their pieces that were taken for faces


class Scenes:
    """Random scenes from the portraits of one side of the split."""

    def __init__(self) -> None:
        self._portraits = load_portraits()
        self._faceless = faceless_pictures()
        self._mistaken = mistaken_pictures()

    def scene(self, rng: np.random.Generator, side: int) -> tuple[Image, Labels]:
        """uint8 [side, side, 3], BGR, with none to a dozen faces."""
        if self._mistaken and rng.random() < NOBODY:
            return self._mosaic(rng, side, MISTAKEN), Labels.joined([])
        canvas, faces = self._background(rng, side)
        owner = np.zeros((side, side), np.int16)
        parts, owners = [faces], [0] * len(faces.sure)
        largest = np.exp(rng.uniform(np.log(14), np.log(FACE_PX[1] * side / 256)))
        count = int(rng.integers(0, 3 + max(1, 9 - int(largest / 16))))
        for i in range(count):
            wanted = largest if i == 0 else np.exp(rng.uniform(np.log(FACE_PX[0]), np.log(largest)))
            faces = self._paste(rng, canvas, owner, i + 1, float(wanted))
            parts.append(faces)
            owners += [i + 1] * len(faces.sure)
        if rng.random() < 0.3:
            before = canvas.copy()
            draw_clutter(rng, canvas, int(rng.integers(1, 4)))
            owner[(canvas != before).any(2)] = DRAWN
        return canvas, _as_seen(Labels.joined(parts), np.array(owners), owner)

    def _background(self, rng: np.random.Generator, side: int) -> tuple[Image, Labels]:
        kind = rng.random()
        if kind < 0.3:
            return self._piece_of_portrait(rng, side)
        nobody = Labels.joined([])
        if kind < 0.7:
            return self._mosaic(rng, side), nobody
        if kind < 0.85:
            return texture(rng, side), nobody
        return clutter(rng, side), nobody

    def _piece_of_portrait(self, rng: np.random.Generator, side: int) -> tuple[Image, Labels]:
        portrait = self._any(rng)
        h, w = portrait.image.shape[:2]
        piece = int(np.exp(rng.uniform(np.log(40), np.log(min(h, w)))))
        at = rng.integers(0, [w - piece + 1, h - piece + 1])
        cut = portrait.image[at[1] : at[1] + piece, at[0] : at[0] + piece]
        canvas = cv2.resize(cut, (side, side), interpolation=cv2.INTER_LINEAR)
        scale = side / piece
        return canvas, portrait.faces.moved(np.diag([scale, scale]), -at * scale)

    def _mosaic(self, rng: np.random.Generator, side: int, mistaken: float = 0.0) -> Image:
        """One to sixteen faceless pieces of pictures side by side; a share of them was taken for faces."""
        canvas = np.empty((side, side, 3), np.uint8)
        across = int(rng.choice([1, 2, 2, 3, 4]))
        tile = -(-side // across)
        for top in range(0, side, tile):
            for left in range(0, side, tile):
                part = canvas[top : top + tile, left : left + tile]
                is_mistaken = rng.random() < mistaken
                piece = self._mistaken_piece(rng, tile) if is_mistaken else self._faceless_piece(rng)
                part[:] = cv2.resize(piece, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)
        return canvas

    def _faceless_piece(self, rng: np.random.Generator) -> Image:
        for _ in range(12):
            if self._faceless and rng.random() < 0.5:
                image, boxes = self._faceless[rng.integers(len(self._faceless))], np.zeros((0, 4), np.float32)
            else:
                portrait = self._any(rng)
                image, boxes = portrait.image, portrait.faces.boxes
            h, w = image.shape[:2]
            size = int(np.exp(rng.uniform(np.log(28), np.log(min(h, w, 320 if len(boxes) == 0 else 120)))))
            x, y = int(rng.integers(0, w - size + 1)), int(rng.integers(0, h - size + 1))
            apart = (boxes[:, 0] > x + size) | (boxes[:, 2] < x) | (boxes[:, 1] > y + size) | (boxes[:, 3] < y)
            if apart.all():
                piece = np.rot90(image[y : y + size, x : x + size], int(rng.integers(4)) if rng.random() < 0.4 else 0)
                piece = piece[:, ::-1] if rng.random() < 0.5 else piece
                piece = piece[..., rng.permutation(3)] if rng.random() < 0.25 else piece
                return np.ascontiguousarray(255 - piece if rng.random() < 0.05 else piece)
        return rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)

    def _mistaken_piece(self, rng: np.random.Generator, tile: int) -> Image:
        """The middle of something that was taken for a face, about as large as it was then."""
        image = self._mistaken[rng.integers(len(self._mistaken))]
        side = min(image.shape[0], round(tile * float(np.exp(rng.normal(0, 0.3)))))
        spare = image.shape[0] - side
        x, y = (int(np.clip(spare / 2 + rng.normal(0, 0.15 * side), 0, spare)) for _ in range(2))
        piece = image[y : y + side, x : x + side]
        return np.ascontiguousarray(piece[:, ::-1] if rng.random() < 0.5 else piece)

    def _any(self, rng: np.random.Generator) -> Portrait:
        return self._portraits[rng.integers(len(self._portraits))]

    def _paste(self, rng: np.random.Generator, canvas: Image, owner: NDArray[np.int16], mine: int, px: float) -> Labels:
        portrait = self._any(rng)
        image, faces = portrait.image, portrait.faces
        box = faces.boxes[portrait.main]
        scale = px / float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
        if scale < 0.5:  # cameras average what is far away; so must we, lest small faces glitter
            h, w = image.shape[:2]
            small = max(8, round(w * scale * 1.4)), max(8, round(h * scale * 1.4))
            image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
            shrunk = np.array(small) / (w, h)
            faces = faces.moved(np.diag(shrunk), np.zeros(2))
            scale /= float(shrunk[0])
        is_whole = rng.random() < 0.35
        if rng.random() < 0.25:
            image = covered(rng, image, faces.boxes[portrait.main])
        head = faces.boxes[portrait.main]
        if not is_whole:
            faces = faces.only([portrait.main])
            if rng.random() < 0.45:  # the face moves to a side of its head
                image, faces = turned(image, faces, np.radians(rng.uniform(-65, 65)))
        linear = _pose(rng, scale)
        side = canvas.shape[0]
        near = rng.uniform(-0.15 * px, side + 0.15 * px, 2) if px < 0.5 * side else side * rng.uniform(0.2, 0.8, 2)
        main = faces.boxes[portrait.main if is_whole else 0]
        shift = near - linear @ ((main[:2] + main[2:]) / 2)
        mask = _whole(image) if is_whole else _oval(rng, image, head)
        _blend(rng, canvas, owner, mine, image, mask, np.concatenate([linear, shift[:, None]], 1))
        return faces.moved(linear, shift)


def _as_seen(labels: Labels, owners: NDArray[np.integer], owner: NDArray[np.int16]) -> Labels:
    """Only faces of which something is left, and sure only of those of which enough is."""
    if not len(labels.sure):
        return labels
    side = owner.shape[0]
    u, v = np.meshgrid(np.linspace(-0.85, 0.85, 9), np.linspace(-0.85, 0.85, 9))
    u, v = u[u**2 + v**2 < 0.75], v[u**2 + v**2 < 0.75]
    half = (labels.boxes[:, 2:] - labels.boxes[:, :2]) / 2
    centre = labels.boxes[:, :2] + half
    x = np.floor(centre[:, :1] + half[:, :1] * u).astype(int)
    y = np.floor(centre[:, 1:] + half[:, 1:] * v).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < side) & (y < side)
    seen = (inside & (owner[y.clip(0, side - 1), x.clip(0, side - 1)] == owners[:, None])).mean(1)
    small = 2 * np.sqrt(half.prod(1)) < LEAST_PX
    kept = seen > GONE
    return labels.doubted(small | (seen < SEEN)).only(kept)


def _pose(rng: np.random.Generator, scale: float) -> NDArray[np.float64]:
    """float64 [2, 2]: size, a tilt, a squeeze, a shear and sometimes the mirror."""
    turn = rng.normal(0, np.radians(20))
    squeeze = rng.uniform(0.6, 1.0) if rng.random() < 0.15 else rng.uniform(0.88, 1.12)
    mirror = -1 if rng.random() < 0.5 else 1
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = scale * rotation @ np.diag([squeeze * mirror, 1])
    linear[0, 1] += scale * rng.normal(0, 0.06)
    return linear


def _whole(image: Image) -> Image:
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[1:-1, 1:-1] = 255
    return mask


def _oval(rng: np.random.Generator, image: Image, box: NDArray[np.float32]) -> Image:
    """The head around a face, with a soft edge."""
    mask = np.zeros(image.shape[:2], np.uint8)
    size = float(max(box[2] - box[0], box[3] - box[1]))
    middle = (box[:2] + box[2:]) / 2 - (0, 0.05 * size)
    axes = np.maximum(1, size * rng.uniform((0.48, 0.62), (0.85, 1.05)))
    cv2.ellipse(mask, middle.astype(int).tolist(), axes.astype(int).tolist(), 0, 0, 360, 255, -1)
    return cv2.GaussianBlur(mask, (0, 0), max(0.5, size * rng.uniform(0.01, 0.09)))


def _blend(
    rng: np.random.Generator,
    canvas: Image,
    owner: NDArray[np.int16],
    mine: int,
    image: Image,
    mask: Image,
    warp: NDArray[np.float64],
) -> None:
    h, w = image.shape[:2]
    side = canvas.shape[0]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]]) @ warp[:, :2].T + warp[:, 2]
    low = np.clip(np.floor(corners.min(0)), 0, side).astype(int)
    high = np.clip(np.ceil(corners.max(0)), 0, side).astype(int)
    if (high - low < 4).any():
        return
    warp = warp.copy()
    warp[:, 2] -= low
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    pasted = cv2.warpAffine(image, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(mask, warp, size)
    if rng.random() < 0.5:
        light = np.exp(rng.normal(-0.1, 0.35)) * np.exp(rng.normal(0, 0.08, 3))
        pasted = np.clip(pasted * light, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        pasted = cv2.cvtColor(cv2.cvtColor(pasted, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    place = (slice(low[1], high[1]), slice(low[0], high[0]))
    share = mask.astype(np.float32)[..., None] / 255
    canvas[place] = share * pasted + (1 - share) * canvas[place]
    owner[place][mask > 127] = mine


def turned(image: Image, faces: Labels, yaw: float) -> tuple[Image, Labels]:
    """The head of the first face turned about its upright axis, as a cylinder that wears the photograph."""
    box = faces.boxes[0]
    radius = HEAD_RADIUS * float(max(box[2] - box[0], box[3] - box[1]))
    axis = float(box[0] + box[2]) / 2
    across = (np.arange(image.shape[1]) + 0.5 - axis) / radius
    source = np.sin(np.clip(np.arcsin(np.clip(across, -1, 1)) - yaw, -1.4, 1.4))
    columns = (np.where(np.abs(across) < 1, source, across) * radius + axis - 0.5).astype(np.float32)
    x, y = np.meshgrid(columns, np.arange(image.shape[0], dtype=np.float32))

    def moved(at: NDArray[np.float32]) -> NDArray[np.float32]:
        angle = np.arcsin(np.clip((at - axis) / radius, -1, 1)) + yaw
        return (np.sin(np.clip(angle, -1.5, 1.5)) * radius + axis).astype(np.float32)

    boxes, points = faces.boxes.copy(), faces.points.copy()
    boxes[:, 0::2], points[..., 0] = moved(boxes[:, 0::2]), moved(points[..., 0])
    image = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return image, Labels(boxes=boxes, points=points, sure=faces.sure)


def covered(rng: np.random.Generator, image: Image, box: NDArray[np.float32]) -> Image:
    """A mask, a scarf, glasses, a hat or a hand in front of a part of the face: one colour, or a piece of clothing."""
    image = image.copy()
    (x1, y1), (x2, y2) = box[:2], box[2:]
    w, h = x2 - x1, y2 - y1
    kind = rng.integers(5)
    if kind == 0:  # below the nose
        area = (x1 - 0.15 * w, y1 + rng.uniform(0.5, 0.7) * h, x2 + 0.15 * w, y2 + rng.uniform(0.05, 0.5) * h)
    elif kind == 1:  # the eyes
        area = (x1 + 0.02 * w, y1 + rng.uniform(0.2, 0.28) * h, x2 - 0.02 * w, y1 + rng.uniform(0.42, 0.5) * h)
    elif kind == 2:  # the forehead
        area = (x1 - 0.2 * w, y1 - 0.6 * h, x2 + 0.2 * w, y1 + rng.uniform(0.1, 0.28) * h)
    elif kind == 3:  # one side
        area = (x1 - 0.3 * w, y1 - 0.3 * h, x1 + rng.uniform(0.15, 0.4) * w, y2 + 0.2 * h)
        if rng.random() < 0.5:
            area = (x1 + x2 - area[2], area[1], x1 + x2 - area[0], area[3])
    else:  # anything, anywhere
        middle = np.array([x1, y1]) + rng.uniform(0.1, 0.9, 2) * (w, h)
        half = rng.uniform(0.12, 0.3, 2) * (w, h)
        area = (*(middle - half), *(middle + half))
    left, top, right, bottom = (round(float(v)) for v in area)
    left, top = max(0, left), max(0, top)
    right, bottom = min(image.shape[1], right), min(image.shape[0], bottom)
    if right - left < 2 or bottom - top < 2:
        return image
    patch = np.full((bottom - top, right - left, 3), rng.integers(0, 256, 3), np.uint8)
    if rng.random() < 0.4:  # what the lower edge of the portrait shows: clothes, mostly
        piece = image[-max(4, image.shape[0] // 5) :]
        patch = cv2.resize(piece, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros(patch.shape[:2], np.uint8)
    if rng.random() < 0.5:
        mask[:] = 255
    else:
        size = (mask.shape[1], mask.shape[0])
        cv2.ellipse(mask, (size[0] // 2, size[1] // 2), (size[0] // 2, size[1] // 2), 0, 0, 360, 255, -1)
    image[top:bottom, left:right][mask > 0] = patch[mask > 0]
    return image


def clutter(rng: np.random.Generator, side: int) -> Image:
    """Coarse noise or gradients with things drawn on it."""
    cells = int(rng.integers(2, 40))
    spread = rng.uniform(5, 70)
    coarse = np.clip(rng.normal(rng.uniform(20, 220, 3), spread, (cells, cells, 3)), 0, 255).astype(np.uint8)
    how = (cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_CUBIC)[rng.integers(3)]
    canvas = cv2.resize(coarse, (side, side), interpolation=how)
    draw_clutter(rng, canvas, int(rng.integers(0, 25)))
    return canvas


def page(rng: np.random.Generator, side: int) -> Image:
    """Lines of letters on unevenly lit paper."""
    paper = cv2.resize(rng.uniform(120, 255, (3, 3)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    sheet = np.repeat(paper.clip(0, 255).astype(np.uint8)[..., None], 3, 2)
    font, size = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX])), float(rng.uniform(0.25, 1.2))
    ink, thickness = int(rng.integers(0, 90)), int(rng.integers(1, 3))
    for base in range(int(14 * size), side + 20, max(6, int(rng.uniform(24, 38) * size))):
        words = "".join(chr(c) if c < 123 else " " for c in rng.integers(97, 128, int(side / (9 * size)) + 1))
        cv2.putText(sheet, words, (int(rng.integers(-9, 9)), base), font, size, (ink,) * 3, thickness, cv2.LINE_AA)
    return sheet


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


def texture(rng: np.random.Generator, side: int) -> Image:
    """Grass, gravel, cloth or a wall: noise of many sizes, one small thing repeated, or a page."""
    if rng.random() < 0.12:
        return page(rng, side)
    if rng.random() < 0.6:
        grey = np.zeros((side, side), np.float32)
        fall = rng.uniform(0.35, 1.1)
        for octave in range(1, 8):
            cells = 2**octave
            coarse = rng.standard_normal((cells, max(2, int(cells * rng.uniform(0.4, 1.0)))), np.float32)
            grey += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) * fall**octave
        grey /= grey.std() + 1e-6
        if rng.random() < 0.4:
            grey = np.abs(grey)
    else:
        period = int(rng.integers(8, 60))
        one = cv2.GaussianBlur(rng.standard_normal((period, period), np.float32), (0, 0), rng.uniform(0.6, period / 6))
        if rng.random() < 0.5:
            one = one * 0.3 / (one.std() + 1e-6)
            cv2.circle(one, (period // 2, period // 2), period // 3, float(rng.uniform(-2, 2)), -1)
        times = -(-side // period)
        grey = np.tile(one, (times, times))[:side, :side] / (one.std() + 1e-6)
        grey = grey + 0.3 * rng.standard_normal((side, side), np.float32)
    colours = rng.uniform(20, 235, (2, 3))
    share = 1 / (1 + np.exp(-grey[..., None] * rng.uniform(0.5, 3)))
    return (colours[0] * share + colours[1] * (1 - share)).astype(np.uint8)


def seen_badly(rng: np.random.Generator, scene: Image) -> Image:
    """The scene as a poorer camera gives it: dim, hazy, blurred, moving, noisy, coded."""
    if rng.random() < 0.35:
        ramp = np.arange(256) / 255.0
        curve = ramp ** np.exp(rng.normal(0.1, 0.35)) * np.exp(rng.normal(-0.15, 0.3)) + rng.normal(0, 0.04)
        scene = cv2.LUT(scene, np.clip(curve * 255, 0, 255).astype(np.uint8))
    elif rng.random() < 0.2:  # little light
        scene = cv2.LUT(scene, (np.arange(256) * rng.uniform(0.08, 0.35)).astype(np.uint8))
    if rng.random() < 0.15:  # haze: blacks that are grey
        dark = rng.uniform(0, 90)
        scene = cv2.LUT(scene, np.linspace(dark, rng.uniform(dark + 60, 255), 256).astype(np.uint8))
    if rng.random() < 0.15:
        scene = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.3, 1.2))
    elif rng.random() < 0.15:
        taps = int(rng.integers(2, 6))
        scene = cv2.blur(scene, (taps, 1) if rng.random() < 0.7 else (1, taps))
    if rng.random() < 0.25:
        noise = np.empty(scene.shape, np.int16)
        cv2.randn(noise, 0, float(rng.uniform(1, 10)))
        scene = cv2.add(scene, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.3:
        _, coded = cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        scene = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return scene


def still_seen(scene: Image, labels: Labels) -> Labels:
    """Not sure of faces that a poorer camera left without contrast."""
    grey = cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY)
    side = scene.shape[0]
    flat = np.zeros(len(labels.sure), bool)
    for i, (x1, y1, x2, y2) in enumerate(labels.boxes.clip(0, side).astype(int)):
        flat[i] = x2 <= x1 or y2 <= y1 or grey[y1:y2, x1:x2].std() < 4
    return labels.doubted(flat)
