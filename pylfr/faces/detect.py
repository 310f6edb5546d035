"""Faces in frames: letterbox, one network call for the batch, decode, suppress, back to source pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from pylfr import ops
from pylfr.faces.heads import decode
from pylfr.faces.input_size import DetectSize, InputSides, input_sides, input_size
from pylfr.models.manifest import ModelManifest
from pylfr.models.store import open_store
from pylfr.protocols import Runtime
from pylfr.runtimes.registry import open_runtime
from pylfr.types import Device, Faces, Float32, Frame, UInt8, as_frames

# Boxes that overlap by more than this are one face; the authors of YuNet and SCRFD use 0.4 to 0.45.
SUPPRESSION_IOU = 0.45

# Input buffers retained for the next calls; more threads than this at once allocate new ones.
_FREE_BUFFERS = 8


class _InputBuffers:
    """Memory for the network's input. Each call has a buffer of its own while it runs, so that threads never share one.

    Buffers are reused, each as large as its largest batch so far: touching new memory costs more than filling it.
    """

    def __init__(self) -> None:
        self._free: deque[Float32] = deque(maxlen=_FREE_BUFFERS)

    @contextmanager
    def borrow(self, shape: tuple[int, int, int, int]) -> Iterator[Float32]:
        """A float32 buffer of ``shape``; its contents are undefined."""
        try:
            whole = self._free.pop()
        except IndexError:
            whole = np.empty(shape, np.float32)
        if whole.shape[1:] != shape[1:] or len(whole) < shape[0]:
            whole = np.empty(shape, np.float32)
        try:
            yield whole[: shape[0]]
        finally:
            self._free.append(whole)


class FaceDetector:
    """A ``Detector`` for every network with a known output head. Threads may share it."""

    def __init__(
        self, manifest: ModelManifest, runtime: Runtime, *, model: str, sides: InputSides, score_floor: float
    ) -> None:
        self._manifest = manifest
        self._detect = manifest.detection
        self._runtime = runtime
        self._model = model
        self._sides = sides
        self._score_floor = score_floor
        self._buffers = _InputBuffers()

    @property
    def model(self) -> str:
        return self._model

    @property
    def manifest(self) -> ModelManifest:
        return self._manifest

    @property
    def score_floor(self) -> float:
        """Faces below this score are not reported."""
        return self._score_floor

    @property
    def is_sized_by_face(self) -> bool:
        """Whether the smallest face sought decides on the size of the input, and not a side that was given."""
        return self._sides.smallest_face_px is not None

    def with_score_floor(self, score_floor: float) -> FaceDetector:
        """The same network with another score floor."""
        return FaceDetector(
            self._manifest, self._runtime, model=self._model, sides=self._sides, score_floor=score_floor
        )

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        """The faces of all images, image by image, best first.

        ``images`` are frames or uint8 [H, W, 3] RGB arrays of any sizes. Raises ``ValueError`` or ``TypeError`` for
        anything else, ``ModelError`` if the network's outputs do not match its manifest.
        """
        frames = as_frames(images)
        if not frames:
            return Faces.none()
        by_size: dict[DetectSize, list[int]] = {}
        for index, frame in enumerate(frames):
            by_size.setdefault(self.size_for(frame), []).append(index)
        if len(by_size) == 1:
            return self.detect_at(frames, next(iter(by_size)))
        return joined(
            [
                renumbered(self.detect_at([frames[index] for index in those], size), those)
                for size, those in by_size.items()
            ]
        )

    def size_for(self, frame: Frame) -> DetectSize:
        """The size of the network's input for this frame, whatever it is analysed together with."""
        return input_size(self._detect, [frame], side_px=self._sides.of(frame))

    def detect_at(self, frames: Sequence[Frame], size: DetectSize) -> Faces:
        """As ``detect``, with the frames fitted into a network's input of that size."""
        with self._buffers.borrow((len(frames), 3, size.height, size.width)) as buffer:
            tensor, factors = self._letterbox(frames, size, buffer)
            outputs = self.run(tensor)
        raw = decode(self._manifest, outputs, width=size.width, height=size.height, score_floor=self._score_floor)
        kept = ops.nms(raw.batch_index, raw.boxes, raw.scores, iou=SUPPRESSION_IOU)
        index = raw.batch_index[kept]
        per_face = factors[index]
        sizes = np.array([(frame.width, frame.height) for frame in frames], np.float32)[index]
        boxes = raw.boxes[kept] / per_face[:, None]
        # A face that crosses the edge is clipped; one entirely outside (in the padding) is not a face.
        boxes = np.clip(boxes, 0, np.tile(sizes, 2), dtype=np.float32)
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        faces = Faces(
            frame_index=index,
            boxes=boxes,
            scores=raw.scores[kept],
            landmarks=raw.landmarks[kept] / per_face[:, None, None],
        )
        return faces if inside.all() else faces.select(inside)

    def run(self, tensor: Float32) -> dict[str, Float32]:
        """The network's outputs by name, before they are decoded."""
        return self._runtime.run(tensor)

    def letterbox(self, frames: Sequence[Frame], *, out: Float32 | None = None) -> tuple[Float32, Float32]:
        """The network's input for all of them, float32 [B, 3, H, W], and network pixels per source pixel, float32 [B].

        The tensor is ``out`` if that is given, else newly allocated.
        """
        side_px = max((self._sides.of(frame) for frame in frames), default=self._sides.side_px)
        return self._letterbox(frames, input_size(self._detect, frames, side_px=side_px), out)

    def _letterbox(self, frames: Sequence[Frame], size: DetectSize, out: Float32 | None) -> tuple[Float32, Float32]:
        pixels = self._manifest.pixels
        return ops.letterbox(
            frames,
            width=size.width,
            height=size.height,
            bgr=pixels.colour == "bgr",
            mean=pixels.mean,
            scale=pixels.scale,
            out=out,
        )


def renumbered(faces: Faces, numbers: Sequence[int]) -> Faces:
    """The same faces, of frame ``numbers[i]`` where they were of frame i."""
    return replace(faces, frame_index=np.array(numbers, np.int32)[faces.frame_index])


def joined(parts: Sequence[Faces]) -> Faces:
    """All faces in order of their frames, without quality measures and scenes."""
    if len(parts) == 1:
        return parts[0]
    faces = Faces(
        frame_index=np.concatenate([each.frame_index for each in parts]),
        boxes=np.concatenate([each.boxes for each in parts]),
        scores=np.concatenate([each.scores for each in parts]),
        landmarks=np.concatenate([each.landmarks for each in parts]),
    )
    return faces.select(np.argsort(faces.frame_index, kind="stable"))


def open_detector(
    name: str,
    *,
    device: Device = "cpu",
    runtime: str = "onnx",
    threads: int = 0,
    side_px: int | None = None,
    smallest_face_px: float | None = None,
    score_floor: float | None = None,
) -> FaceDetector:
    """The detector of that name, ready to run.

    ``side_px`` is the long side of its input, ``score_floor`` the lowest score it reports; both default to the
    manifest's values. With ``smallest_face_px`` the input is as large as a face of that width in the picture needs.
    ``threads`` is the number of CPU threads, 0 for one per core. Raises ``ModelError`` if the network is unknown,
    missing, altered or not a detector, or finds no faces so small.
    """
    model = open_store().resolve(name)
    manifest = model.manifest
    sides = input_sides(manifest, side_px=side_px, smallest_face_px=smallest_face_px)
    return FaceDetector(
        manifest,
        open_runtime(model, runtime=runtime, device=device, threads=threads, side_px=sides.side_px),
        model=model.sha256,
        sides=sides,
        score_floor=manifest.detection.score_threshold if score_floor is None else score_floor,
    )
