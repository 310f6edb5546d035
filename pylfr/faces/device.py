"""The stages where a frame's pixels lie on a device: nothing of it comes back but boxes, measures and scores.

A batch is uploaded once (or lies there already), and everything is queued on one stream. The host waits three times:
for the faces, for the candidates of those that are due, and until the probe templates are wiped.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from pylfr import ops
from pylfr.errors import ConfigError, ModelError
from pylfr.faces.detect import SUPPRESSION_IOU, input_size
from pylfr.faces.heads import split_head
from pylfr.faces.pool import DeviceProbePool
from pylfr.models.manifest import EmbedTable, ModelManifest
from pylfr.models.store import Model, open_store
from pylfr.protocols import DeviceGallery, DeviceRuntime, Gallery
from pylfr.runtimes.choose import open_runtime
from pylfr.types import Candidates, Device, Faces, Float32, Frame, Int32, Templates, UInt8, as_frames

log = logging.getLogger(__name__)

# Room for this many faces a picture at first; where a picture has more it grows, and stays.
_FACES_AT_FIRST = 64

# What csrc/kernels/heads.hpp looks at: of more candidates than this, only the best half.
_MOST_CANDIDATES = 4096


class Uploads:
    """The pictures of the newest batch on the device, uploaded once for all who ask."""

    def __init__(self, stream: ops.Stream) -> None:
        self._staging = ops.Staging(stream)
        self._frames: tuple[Frame, ...] = ()
        self._pictures: ops.Pictures | None = None

    @property
    def staging(self) -> ops.Staging:
        return self._staging

    @property
    def stream(self) -> ops.Stream:
        return self._staging.stream

    def of(self, frames: Sequence[Frame]) -> ops.Pictures:
        """The pictures of ``frames``. Those of the batch before are let go."""
        is_known = len(frames) == len(self._frames) and all(map(_is_same, frames, self._frames))
        if self._pictures is None or not is_known:
            self._pictures = ops.upload(frames, self._staging)
            self._frames = tuple(frames)
        return self._pictures


def _is_same(one: Frame, other: Frame) -> bool:
    return one is other


class DeviceDetector:
    """A ``Detector`` whose pictures, tensors and outputs stay on the device. One thread at a time."""

    def __init__(
        self,
        manifest: ModelManifest,
        runtime: DeviceRuntime,
        uploads: Uploads,
        *,
        model: str,
        side_px: int,
        score_floor: float,
    ) -> None:
        if manifest.detect is None:
            raise ModelError(f"{manifest.name} is a network for {manifest.task!r}: give one for 'detect'")
        self._manifest = manifest
        self._detect = manifest.detect
        self._runtime = runtime
        self._uploads = uploads
        self._model = model
        self._side_px = side_px
        self._score_floor = score_floor
        self._room = _FACES_AT_FIRST

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
        )

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        """As ``FaceDetector.detect``; the faces bring their measures along."""
        frames = as_frames(images)
        if not frames:
            return Faces.none()
        stream = self._uploads.stream
        pictures = self._uploads.of(frames)
        size = input_size(self._detect, frames, side_px=self._side_px)
        tensor = ops.Tensor((len(frames), 3, size.height, size.width), "float32", stream)
        pixels = self._manifest.pixels
        pictures.letterbox(tensor, bgr=pixels.colour == "bgr", mean=pixels.mean, scale=pixels.scale)
        outputs = {
            name: ops.Tensor(shape, "float32", stream)
            for name, shape in self._runtime.output_shapes(tensor.shape).items()
        }
        self._runtime.run_on(stream, tensor, outputs)
        return self._found(pictures, outputs, width=size.width, height=size.height)

    def _found(self, pictures: ops.Pictures, outputs: Mapping[str, ops.Tensor], *, width: int, height: int) -> Faces:
        head = split_head(self._manifest, outputs)
        while True:
            # One tensor for both, so that one copy brings all of it.
            batch, room, stream = len(pictures), self._room, self._uploads.stream
            numbers = batch * room * ops.FOUND_NUMBERS
            whole = ops.Tensor((numbers + 2 * batch,), "float32", stream)
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
                    found=whole.rows(0, numbers).reshaped((batch, room, ops.FOUND_NUMBERS)),
                    counts=whole.rows(numbers, numbers + 2 * batch).seen_as((batch, 2), "int32"),
                )
            except ValueError as error:
                raise ModelError(
                    f"the outputs of {self._manifest.name} do not fit its head {self._manifest.head!r} ({error})"
                ) from error
            arrived = np.empty(numbers + 2 * batch, np.float32)
            whole.copy_to(arrived, stream)
            counts = arrived[numbers:].view(np.int32).reshape(batch, 2)
            if counts[:, 1].max() > _MOST_CANDIDATES:
                log.warning(
                    "a picture had %d candidate faces: only the best %d were looked at; raise the score floor",
                    counts[:, 1].max(),
                    _MOST_CANDIDATES // 2,
                )
            if counts[:, 0].max() <= room:
                return _faces(arrived[:numbers].reshape(batch, room, ops.FOUND_NUMBERS), counts[:, 0])
            self._room = 1 << int(counts[:, 0].max() - 1).bit_length()


def _faces(found: Float32, counts: Int32) -> Faces:
    """The faces of a batch out of what the device wrote, float32 [B, most, FOUND_NUMBERS]."""
    rows = found[np.arange(found.shape[1]) < counts[:, None]]
    return Faces(
        frame_index=np.repeat(np.arange(len(found), dtype=np.int32), counts),
        boxes=np.ascontiguousarray(rows[:, :4]),
        scores=np.ascontiguousarray(rows[:, 4]),
        landmarks=np.ascontiguousarray(rows[:, 5:15]).reshape(-1, 5, 2),
        measures=np.ascontiguousarray(rows[:, 15:]),
    )


class DeviceEmbedder:
    """Crops and templates that stay on the device, for every network that gives one vector a crop."""

    def __init__(self, manifest: ModelManifest, runtime: DeviceRuntime, uploads: Uploads, *, model: str) -> None:
        if manifest.embed is None:
            raise ModelError(f"{manifest.name} is a network for {manifest.task!r}: give one for 'embed'")
        self._output, shape = next(iter(runtime.outputs.items()))
        if shape[-1] not in (None, manifest.embed.dimension):
            raise ModelError(
                f"{manifest.name} must give {manifest.embed.dimension} numbers a face, it gives {shape[-1]}"
            )
        self._manifest = manifest
        self._embed = manifest.embed
        self._runtime = runtime
        self._uploads = uploads
        self._model = model

    @property
    def model(self) -> str:
        return self._model

    @property
    def manifest(self) -> ModelManifest:
        return self._manifest

    @property
    def dimension(self) -> int:
        return self._embed.dimension

    def align(self, frames: Sequence[Frame], faces: Faces) -> ops.Tensor:
        """Network-ready crops, float32 [N, 3, side, side], all faces in one launch."""
        side = self._embed.side_px
        crops = ops.Tensor((len(faces), 3, side, side), "float32", self._uploads.stream)
        if len(faces):
            pixels = self._manifest.pixels
            self._uploads.of(frames).warp(
                self._uploads.staging,
                faces.frame_index,
                ops.similarity(faces.landmarks, self._embed.landmark_template),
                crops,
                bgr=pixels.colour == "bgr",
                mean=pixels.mean,
                scale=pixels.scale,
            )
        return crops

    def embed_into(self, crops: ops.Tensor, out: ops.Tensor) -> None:
        """Templates of the crops, float32 [N, D] of unit length: the network writes straight into ``out``."""
        if out.shape != (len(crops), self.dimension):
            raise ValueError(f"out must be float32 [{len(crops)}, {self.dimension}], got {list(out.shape)}")
        if len(crops):
            self._runtime.run_on(self._uploads.stream, crops, {self._output: out})
            ops.normalise_on(out, self._uploads.stream)


class DeviceRecogniser:
    """From faces to candidates on the device. Probe templates exist inside the ``with`` block and nowhere else."""

    def __init__(self, embedder: DeviceEmbedder, pool: DeviceProbePool) -> None:
        self._embedder = embedder
        self._pool = pool

    @property
    def embedder(self) -> DeviceEmbedder:
        return self._embedder

    @property
    def pool(self) -> DeviceProbePool:
        return self._pool

    def recognise(self, frames: Sequence[Frame], faces: Faces, gallery: Gallery, k: int) -> Candidates:
        """The k best entries for each of at most ``pool.rows`` faces.

        Raises ``ConfigError`` for a gallery that cannot search where the templates are.
        """
        if not isinstance(gallery, DeviceGallery):
            raise ConfigError(
                "templates stay on the device, but this watchlist's index takes them from the host: choose index "
                "'device-int8', 'device-float16' or 'device-float32'"
            )
        crops = self._embedder.align(frames, faces)
        with self._pool.borrow(len(faces)) as probes:
            self._embedder.embed_into(crops, probes)
            return gallery.search_on(probes, model=self._embedder.model, k=k)


class HostTemplates:
    """An ``Embedder`` for enrolment with a network on the device: its templates become references, on the host."""

    def __init__(self, embedder: DeviceEmbedder, uploads: Uploads) -> None:
        self._embedder = embedder
        self._uploads = uploads

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def manifest(self) -> ModelManifest:
        return self._embedder.manifest

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def side_px(self) -> int:
        return self._embed.side_px

    @property
    def landmark_template(self) -> Float32:
        return self._embed.landmark_template

    def align(self, frames: Sequence[Frame], faces: Faces) -> Float32:
        tensor = self._embedder.align(frames, faces)
        crops = np.empty(tensor.shape, np.float32)
        tensor.copy_to(crops, self._uploads.stream)
        return crops

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        """As ``FaceEmbedder.embed``; what passed through the device is wiped there."""
        stream = self._uploads.stream
        vectors = np.empty((len(crops), self.dimension), np.float32) if out is None else out
        there = ops.Tensor(vectors.shape, "float32", stream)
        try:
            self._embedder.embed_into(self._uploads.staging.send(np.ascontiguousarray(crops)), there)
            there.copy_to(vectors, stream)
        finally:
            there.wipe(stream)
            stream.synchronise()
        return Templates(vectors=vectors, model=self.model)

    @property
    def _embed(self) -> EmbedTable:
        table = self.manifest.embed
        if table is None:
            raise ModelError(f"{self.manifest.name} is a network for {self.manifest.task!r}: give one for 'embed'")
        return table


def open_device_detector(
    name: str, uploads: Uploads, *, runtime: str, side_px: int | None = None, score_floor: float | None = None
) -> DeviceDetector:
    """The detector of that name on the device of ``uploads``; arguments and errors as ``open_detector``'s."""
    model = open_store().resolve(name)
    manifest = model.manifest
    if manifest.detect is None:
        raise ModelError(f"{name} is a network for {manifest.task!r}: name one for 'detect' (see `pylfr models list`)")
    side = manifest.detect.side_px if side_px is None else side_px
    if side < manifest.detect.multiple_of:
        raise ModelError(f"side_px must be at least {manifest.detect.multiple_of} for {name}, got {side}")
    return DeviceDetector(
        manifest,
        _device_runtime(model, runtime, uploads.stream.device, side_px=side),
        uploads,
        model=model.sha256,
        side_px=side,
        score_floor=manifest.detect.score_threshold if score_floor is None else score_floor,
    )


def open_device_embedder(name: str, uploads: Uploads, *, runtime: str) -> DeviceEmbedder:
    """The embedder of that name on the device of ``uploads``; errors as ``open_embedder``'s."""
    model = open_store().resolve(name)
    if model.manifest.embed is None:
        raise ModelError(
            f"{name} is a network for {model.manifest.task!r}: name one for 'embed' (see `pylfr models list`)"
        )
    return DeviceEmbedder(
        model.manifest, _device_runtime(model, runtime, uploads.stream.device), uploads, model=model.sha256
    )


def _device_runtime(model: Model, runtime: str, device: Device, *, side_px: int | None = None) -> DeviceRuntime:
    opened = open_runtime(model, runtime=runtime, device=device, side_px=side_px)
    if not isinstance(opened, DeviceRuntime):
        raise ConfigError(
            f"runtime {runtime!r} takes its pictures from the host: with device {device!r} name one that runs on the "
            "device's own memory"
        )
    return opened
