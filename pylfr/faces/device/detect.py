"""Detection on a device: only boxes, landmarks, scores and quality measures are copied back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pylfr import ops
from pylfr.errors import ModelError
from pylfr.faces.detect import SUPPRESSION_IOU
from pylfr.faces.device.uploads import Uploads
from pylfr.faces.heads import HeadTensors, split_head
from pylfr.faces.input_size import input_sides, input_size
from pylfr.models.manifest import ModelManifest
from pylfr.models.store import open_store
from pylfr.protocols import DeviceRuntime, TakesHalves
from pylfr.runtimes.registry import open_device_runtime
from pylfr.types import SCENE_SHAPE, Faces, Float32, Frame, Int32, UInt8, as_frames

log = logging.getLogger(__name__)

# The least room for faces in a picture. It grows where a picture has more; after so many batches it shrinks to what the
# fullest of them needed.
_LEAST_ROOM = 64
_BATCHES_BEFORE_SHRINKING = 256

# As in csrc/kernels/heads.hpp: of more candidates than this, only the best half is considered.
_MOST_CANDIDATES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Where the faces, the counts and the scenes of a batch end in the one tensor that holds them, in numbers."""

    found: int
    counts: int
    scenes: int

    @classmethod
    def of(cls, batch: int, room: int) -> _Ends:
        found = batch * room * ops.FOUND_NUMBERS
        counts = found + 2 * batch
        return cls(found=found, counts=counts, scenes=counts + batch * SCENE_SHAPE[0] * SCENE_SHAPE[1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Search:
    """The network's outputs for a batch, and its faces on their way to the host."""

    pictures: ops.Pictures
    head: HeadTensors[ops.Tensor]
    width: int
    height: int
    room: int
    arrival: ops.Readback


class _Room:
    """For how many faces a picture there is room: a power of two that follows what pictures have."""

    def __init__(self) -> None:
        self.faces = _LEAST_ROOM
        self._most = 0
        self._batches = 0

    def fit(self, most: int) -> None:
        """Take the most faces of a picture in one more batch."""
        if most > self.faces:
            self.faces, self._most, self._batches = _power_of_two_from(most), 0, 0
            return
        self._most = max(self._most, most)
        self._batches += 1
        if self._batches == _BATCHES_BEFORE_SHRINKING:
            self.faces = max(_LEAST_ROOM, _power_of_two_from(self._most))
            self._most = self._batches = 0


def _power_of_two_from(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()


class DeviceDetector:
    """An ``AheadDetector`` whose pictures, tensors and outputs stay on the device. Threads may share it."""

    def __init__(
        self,
        manifest: ModelManifest,
        runtime: DeviceRuntime,
        uploads: Uploads,
        *,
        model: str,
        side_px: int,
        score_floor: float,
        stream: ops.Stream | None = None,
    ) -> None:
        """Work is queued on ``stream``, by default on that of ``uploads``."""
        self._manifest = manifest
        self._detect = manifest.detection
        self._runtime = runtime
        self._uploads = uploads
        self._stream = stream or uploads.stream
        self._model = model
        self._side_px = side_px
        self._score_floor = score_floor
        self._room = _Room()

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

    def with_score_floor(self, score_floor: float) -> DeviceDetector:
        """The same network, reporting faces down to another score."""
        return DeviceDetector(
            self._manifest,
            self._runtime,
            self._uploads,
            model=self._model,
            side_px=self._side_px,
            score_floor=score_floor,
            stream=self._stream,
        )

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        """As ``FaceDetector.detect``; the faces include their quality measures."""
        return self.begin(images)()

    def begin(self, images: Sequence[Frame | UInt8]) -> Callable[[], Faces]:
        """As ``AheadDetector.begin``: everything is queued on return, without waiting."""
        frames = as_frames(images)
        if not frames:
            return Faces.none
        with self._uploads.turn:
            search = self._begin(frames)
        return lambda: self._found(search)

    def _begin(self, frames: tuple[Frame, ...]) -> _Search:
        stream = self._stream
        pictures = self._uploads.of(frames)
        size = input_size(self._detect, frames, side_px=self._side_px)
        shape = len(frames), 3, size.height, size.width
        if isinstance(self._runtime, TakesHalves) and self._runtime.takes_halves:
            tensor = ops.Tensor((len(frames), size.height, size.width, 3), "float16", stream)
        else:
            tensor = ops.Tensor(shape, "float32", stream)
        pixels = self._manifest.pixels
        pictures.letterbox(tensor, bgr=pixels.colour == "bgr", mean=pixels.mean, scale=pixels.scale)
        outputs = {name: ops.Tensor(own, "float32", stream) for name, own in self._runtime.output_shapes(shape).items()}
        self._runtime.run_on(stream, tensor, outputs)
        return self._search(
            pictures, split_head(self._manifest, outputs), width=size.width, height=size.height, room=self._room.faces
        )

    def _search(
        self, pictures: ops.Pictures, head: HeadTensors[ops.Tensor], *, width: int, height: int, room: int
    ) -> _Search:
        """Queue decoding and suppression of the network's outputs, with ``room`` faces per picture."""
        # One tensor for all, so that one copy suffices.
        batch, stream = len(pictures), self._stream
        ends = _Ends.of(batch, room)
        whole = ops.Tensor((ends.scenes,), "float32", stream)
        pictures.measure_scenes(whole.rows(ends.counts, ends.scenes).reshaped((batch, *SCENE_SHAPE)))
        try:
            pictures.find_faces(
                self._manifest.head,
                head.cls,
                head.obj,
                head.boxes,
                head.kps,
                strides=self._detect.strides,
                anchors=self._detect.anchors,
                width=width,
                height=height,
                score_floor=self._score_floor,
                iou=SUPPRESSION_IOU,
                found=whole.rows(0, ends.found).reshaped((batch, room, ops.FOUND_NUMBERS)),
                counts=whole.rows(ends.found, ends.counts).seen_as((batch, 2), "int32"),
            )
        except ValueError as error:
            raise ModelError(
                f"the outputs of {self._manifest.name} do not match its head {self._manifest.head!r} ({error})"
            ) from error
        arrival = ops.Readback(whole, stream)
        return _Search(pictures=pictures, head=head, width=width, height=height, room=room, arrival=arrival)

    def _found(self, search: _Search) -> Faces:
        """The faces, once they have arrived; if a picture has more than there was room for, decode again."""
        while True:
            batch, room = len(search.pictures), search.room
            ends = _Ends.of(batch, room)
            arrived = np.empty(ends.scenes, np.float32)
            search.arrival.into(arrived)
            counts = arrived[ends.found : ends.counts].view(np.int32).reshape(batch, 2)
            if counts[:, 1].max() > _MOST_CANDIDATES:
                log.warning(
                    "a picture had %d candidate faces: only the best %d were considered; raise the score floor",
                    counts[:, 1].max(),
                    _MOST_CANDIDATES // 2,
                )
            most = int(counts[:, 0].max())
            with self._uploads.turn:
                self._room.fit(most)
            if most <= room:
                found = arrived[: ends.found].reshape(batch, room, ops.FOUND_NUMBERS)
                return _faces(found, counts[:, 0], arrived[ends.counts :].reshape(batch, *SCENE_SHAPE))
            with self._uploads.turn:
                search = self._search(
                    search.pictures,
                    search.head,
                    width=search.width,
                    height=search.height,
                    room=_power_of_two_from(most),
                )


def _faces(found: Float32, counts: Int32, scenes: Float32) -> Faces:
    """The faces of a batch from the device's output, float32 [B, most, FOUND_NUMBERS], and its scenes."""
    rows = found[np.arange(found.shape[1]) < counts[:, None]]
    return Faces(
        frame_index=np.repeat(np.arange(len(found), dtype=np.int32), counts),
        boxes=np.ascontiguousarray(rows[:, :4]),
        scores=np.ascontiguousarray(rows[:, 4]),
        landmarks=np.ascontiguousarray(rows[:, 5:15]).reshape(-1, 5, 2),
        measures=np.ascontiguousarray(rows[:, 15:]),
        scenes=scenes,
    )


def open_device_detector(
    name: str,
    uploads: Uploads,
    *,
    runtime: str,
    stream: ops.Stream | None = None,
    side_px: int | None = None,
    score_floor: float | None = None,
    graphs: bool = True,
) -> DeviceDetector:
    """The detector of that name on the device of ``uploads``; arguments and errors as ``open_detector``'s.

    Its work is queued on ``stream``, by default on that of ``uploads``; ``graphs`` as for ``open_runtime``.
    """
    model = open_store().resolve(name)
    manifest = model.manifest
    side = input_sides(manifest, side_px=side_px).side_px
    return DeviceDetector(
        manifest,
        open_device_runtime(model, runtime=runtime, device=uploads.stream.device, side_px=side, graphs=graphs),
        uploads,
        model=model.sha256,
        side_px=side,
        score_floor=manifest.detection.score_threshold if score_floor is None else score_floor,
        stream=stream,
    )
