"""Detection only where something has changed: elsewhere the faces of the last full look are carried over.

Most cameras show the same street most of the time. A picture is analysed in full every so often; in between, only the
regions that differ from the last full look, each enlarged to hold the faces at its edge.
The regions follow from the pictures of one camera alone, and their faces from the regions: a recording gives the same
faces whatever else is analysed with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from pylfr import ops
from pylfr.faces.detect import SUPPRESSION_IOU, FaceDetector, joined, renumbered
from pylfr.faces.input_size import DetectSize
from pylfr.types import Faces, Float32, Frame, UInt8, as_frames
from pylfr.video.sources.zone import Viewport

IN_PART, UNCHANGED, CARRIED = "frames_in_part", "frames_unchanged", "faces_carried"

# Cells along the long side, and cells of a tile each way. A cell of 8 x 8 pixels at 1920 pixels is about a quarter of
# the smallest face that a detector finds there.
_CELLS, _TILE = 240, 4
# Grey levels by which the mean of a cell must differ to have changed: noise and coding change it by two or three.
_LEVELS = 5
# From this share of changed tiles on the whole picture is analysed, and where the network's input for regions is more
# than this share of that for the whole: it costs as much.
_MOST_CHANGED = 0.4
_MOST_ANALYSED = 0.7
# A region has this much around it, in the network's pixels, for the detector to see what a face belongs to. A further
# call costs about as much as so many pixels.
_MARGIN, _CALL_PIXELS = 32, 8_000
# Its sides are some of these, or the whole picture's, rounded up: each size is one that OpenVINO prepares for.
_SIDES = tuple(side for power in range(7, 13) for side in (1 << power, 3 << power - 1))
_WHOLE_STEP = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of a picture, in its pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)

    def touches(self, box: Float32) -> bool:
        """Whether a box, float32 [4] xyxy, lies in it, if only in part."""
        return bool(box[0] < self.right and box[2] > self.left and box[1] < self.bottom and box[3] > self.top)

    def holds_centres(self, boxes: Float32) -> npt.NDArray[np.bool_]:
        """Of boxes, float32 [N, 4] xyxy, whether their centres lie in it: bool [N]."""
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        first, last = (self.left, self.top), (self.right, self.bottom)
        return np.asarray(((centres >= first) & (centres <= last)).all(axis=1), np.bool_)

    def with_box(self, other: Region) -> Region:
        """The smallest region that holds both."""
        return Region(
            left=min(self.left, other.left),
            top=min(self.top, other.top),
            right=max(self.right, other.right),
            bottom=max(self.bottom, other.bottom),
        )


@dataclass(slots=True)
class _FullLook:
    """A picture that was analysed in full: its coarse luma, and its faces once they are known."""

    size: tuple[int, int]
    captured_at: datetime
    luma: UInt8
    faces: Faces


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartLook:
    """A later picture: what it is compared with, and the regions that differ from that."""

    since: _FullLook
    changed: tuple[Region, ...]


class ChangedRegionDetector:
    """A ``Detector`` that analyses each camera's whole picture every ``full_look_s``, and meanwhile what has changed.

    For the frames of cameras, in order, from one thread at a time. ``counts`` has the frames that were analysed in part
    (``frames_in_part``), those in which nothing had changed (``frames_unchanged``), and the faces that were carried
    over (``faces_carried``).
    """

    def __init__(self, detector: FaceDetector, *, full_look_s: float, counts: Counter[str]) -> None:
        self._detector = detector
        self._full_look_s = full_look_s
        self._last: dict[str, _FullLook] = {}
        self.counts = counts

    @property
    def model(self) -> str:
        return self._detector.model

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        """The faces of all images, image by image, best first."""
        frames = as_frames(images)
        if not frames:
            return Faces.none()
        looks = [self._look(frame) for frame in frames]
        full = [index for index, look in enumerate(looks) if isinstance(look, _FullLook)]
        found = [renumbered(self._detector.detect([frames[index] for index in full]), full)] if full else []
        for index in full:
            look = looks[index]
            assert isinstance(look, _FullLook)
            look.faces = _of_frame(found[0], index)
        found += self._in_parts(frames, {i: look for i, look in enumerate(looks) if isinstance(look, _PartLook)})
        return joined(found)

    def _look(self, frame: Frame) -> _FullLook | _PartLook:
        """Whether the frame is analysed in full, which makes it the one with which later ones are compared."""
        size = (frame.width, frame.height)
        cell_px = min(64, max(1, round(max(size) / _CELLS)))
        luma = ops.coarse_luma(frame, cell_px=cell_px)
        last = self._last.get(frame.camera)
        if last is not None and last.size == size:
            age_s = (frame.captured_at - last.captured_at).total_seconds()
            if 0 <= age_s < self._full_look_s:
                changed = changed_tiles(last.luma, luma)
                if changed.mean() <= _MOST_CHANGED:
                    return _PartLook(since=last, changed=tuple(_regions(changed, _TILE * cell_px, size)))
        look = _FullLook(size, frame.captured_at, luma, Faces.none())
        self._last[frame.camera] = look
        return look

    def _in_parts(self, frames: Sequence[Frame], looks: dict[int, _PartLook]) -> list[Faces]:
        """The faces of each frame that is analysed in part."""
        by_size: dict[DetectSize, list[tuple[int, Region, Viewport]]] = {}
        kept: dict[int, list[Faces]] = {}
        for index, look in looks.items():
            frame, known = frames[index], look.since.faces
            whole = self._detector.size_for(frame)
            factor = min(whole.width / frame.width, whole.height / frame.height)
            regions = _with_faces(look.changed, known.boxes, factor)
            if _cost(regions, factor, look.since.size) > _MOST_ANALYSED * whole.width * whole.height:
                regions = (Region(left=0, top=0, right=frame.width, bottom=frame.height),)
            elsewhere = np.array([not any(each.touches(box) for each in regions) for box in known.boxes], bool)
            kept[index] = [replace(known.select(elsewhere), frame_index=np.full(elsewhere.sum(), index, np.int32))]
            self.counts[IN_PART if regions else UNCHANGED] += 1
            self.counts[CARRIED] += int(np.count_nonzero(elsewhere))
            for region in regions:
                view, size = _view_of(region, factor, look.since.size)
                by_size.setdefault(size, []).append((index, region, view))
        for size, views in by_size.items():
            faces = self._detector.detect_at([view.of(frames[index]) for index, _, view in views], size)
            for place, (index, region, view) in enumerate(views):
                inside = _moved(_of_frame(faces, place), index, view)
                # A view is somewhat larger than its region: what it cuts off there is carried over whole.
                kept[index].append(inside.select(region.holds_centres(inside.boxes)))
        return [_suppressed(joined(parts)) for parts in kept.values()]


def changed_tiles(before: UInt8, after: UInt8) -> npt.NDArray[np.bool_]:
    """Which tiles of two pictures' coarse luma differ: bool [rows, columns]."""
    differs = np.abs(after.astype(np.int16) - before) > _LEVELS
    rows, columns = (-(-side // _TILE) for side in differs.shape)
    padded = np.zeros((rows * _TILE, columns * _TILE), bool)
    padded[: differs.shape[0], : differs.shape[1]] = differs
    return np.asarray(padded.reshape(rows, _TILE, columns, _TILE).any(axis=(1, 3)), np.bool_)


def _regions(changed: npt.NDArray[np.bool_], tile_px: int, size: tuple[int, int]) -> Iterable[Region]:
    """The bounds of groups of tiles that rows or columns without a change separate."""
    for top, bottom, left, right in _groups(changed, 0, 0):
        yield Region(
            left=left * tile_px,
            top=top * tile_px,
            right=min(right * tile_px, size[0]),
            bottom=min(bottom * tile_px, size[1]),
        )


def _groups(changed: npt.NDArray[np.bool_], top: int, left: int) -> Iterable[tuple[int, int, int, int]]:
    rows, columns = (_runs(np.asarray(changed.any(axis=axis), np.bool_)) for axis in (1, 0))
    if len(rows) == len(columns) == 1:
        (first, last), (start, end) = rows[0], columns[0]
        yield top + first, top + last, left + start, left + end
        return
    for first, last in rows:
        for start, end in columns:
            part = changed[first:last, start:end]
            if part.any():
                yield from _groups(part, top + first, left + start)


def _runs(marked: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where runs of True begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _with_faces(changed: Sequence[Region], boxes: Float32, factor: float) -> tuple[Region, ...]:
    """The regions with a margin, each face in one of them or in none, and those joined that are cheaper together."""
    margin = _MARGIN / factor
    regions = [_padded(each, margin) for each in changed]
    before: list[Region] = []
    while regions != before:
        before = regions
        for box in boxes:
            left, top, right, bottom = (float(side) for side in box)
            around = Region(left=left, top=top, right=right, bottom=bottom)
            beside = max(right - left, bottom - top) / 2
            regions = [
                each.with_box(_padded(around, beside)) if each.touches(box) and not _holds(each, around) else each
                for each in regions
            ]
        regions = _cheapest(regions, factor)
    return tuple(regions)


def _cost(regions: Sequence[Region], factor: float, size: tuple[int, int]) -> int:
    """The network's pixels for these regions, each further call counted as some more."""
    inputs = [_view_of(region, factor, size)[1] for region in regions]
    return sum(each.width * each.height + _CALL_PIXELS for each in inputs)


def _cheapest(regions: Sequence[Region], factor: float) -> list[Region]:
    """Regions joined where one call is cheaper than two; with overlap it always is."""
    left = list(regions)
    joined: list[Region] = []
    while left:
        one = left.pop()
        for other in left:
            both = one.with_box(other)
            if (both.area - one.area - other.area) * factor**2 < _CALL_PIXELS:
                left.remove(other)
                left.append(both)
                break
        else:
            joined.append(one)
    return sorted(joined, key=lambda each: (each.top, each.left, each.bottom, each.right))


def _padded(region: Region, by: float) -> Region:
    return Region(left=region.left - by, top=region.top - by, right=region.right + by, bottom=region.bottom + by)


def _holds(region: Region, other: Region) -> bool:
    return region.with_box(other) == region


def _view_of(region: Region, factor: float, size: tuple[int, int]) -> tuple[Viewport, DetectSize]:
    """The view of at least this region whose network input is of one of the sizes, and that input's size."""
    left, right, width = _span(region.left, region.right, factor, size[0])
    top, bottom, height = _span(region.top, region.bottom, factor, size[1])
    view = Viewport(left=left, top=top, right=right, bottom=bottom, keep=None, share=1.0)
    return view, DetectSize(width=width, height=height)


def _span(start: float, end: float, factor: float, most: int) -> tuple[int, int, int]:
    """First and last pixel of a side, even, and the length of the network's side."""
    needed = round((min(end, most) - max(start, 0)) * factor)
    side = next((each for each in _SIDES if each >= needed), _SIDES[-1])
    long_px = round(side / factor)
    if long_px >= most or side < needed:
        return 0, most, -(-round(most * factor) // _WHOLE_STEP) * _WHOLE_STEP
    first = min(max(0, round((start + end - long_px) / 2)), most - long_px) // 2 * 2
    return first, first + long_px, side


def _moved(faces: Faces, index: int, view: Viewport) -> Faces:
    """The faces of a view, in their frame."""
    corner = np.array([view.left, view.top], np.float32)
    return replace(
        faces,
        frame_index=np.full(len(faces), index, np.int32),
        boxes=faces.boxes + np.tile(corner, 2),
        landmarks=faces.landmarks + corner,
    )


def _suppressed(faces: Faces) -> Faces:
    return faces.select(ops.nms(faces.frame_index, faces.boxes, faces.scores, iou=SUPPRESSION_IOU))


def _of_frame(faces: Faces, index: int) -> Faces:
    return faces.select(faces.frame_index == index)
