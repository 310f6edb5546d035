"""Faces of stills in one call: detected, measured, aligned and embedded; as arrays, and each by itself.

    import pylfr

    faces = pylfr.open_face_analysis().get("group.jpg")
    for face in faces:
        print(face.box, face.score, face.quality)
    faces.draw().save("faces.jpg")

This is for pictures of your own. Nothing is written, sent or logged; the templates belong to the caller, as those of
``open_embedder`` do, and ``wipe`` overwrites them. Video goes through an engine, whose templates nobody is given.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pylfr import ops
from pylfr.errors import ConfigError
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.faces.device.detect import DeviceDetector, open_device_detector
from pylfr.faces.device.recognise import HostEmbedderAdapter, open_device_embedder
from pylfr.faces.device.uploads import Uploads
from pylfr.faces.draw import draw_faces
from pylfr.faces.embed import open_embedder
from pylfr.faces.quality import measure_quality
from pylfr.faces.redact import NEAR_SHARE, fill_faces, others_than
from pylfr.models.default import choose
from pylfr.models.store import open_store
from pylfr.protocols import Detector, Embedder
from pylfr.runtimes.registry import choose_runtime
from pylfr.types import Colour, Device, Faces, Float32, Frame, Int64, Quality, Templates, UInt8
from pylfr.video.decoding.image_io import read_image

if TYPE_CHECKING:
    import supervision

log = logging.getLogger(__name__)

Still = UInt8 | Image.Image | Frame | Path | str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnalysedFace:
    """One face of a still.

    - ``box``: float32 [4], xyxy in pixels of the picture; ``landmarks``: float32 [5, 2], as in ``Faces``
    - ``score``: the detector's own, 0 to 1
    - ``quality``: how fit the face is for recognition, 0 to 100; ``yaw``, ``pitch``, ``roll``: degrees, 0 is frontal
    - ``template``: float32 [D] of unit length; ``model``: sha256 of the network that made it
    """

    box: Float32
    landmarks: Float32
    score: float
    quality: float
    yaw: float
    pitch: float
    roll: float
    template: Float32 = field(repr=False)
    model: str = field(repr=False)

    def compare(self, other: AnalysedFace) -> float:
        """The comparison score (cosine, -1 to 1) of two faces. Raises ``ValueError`` where their models differ."""
        _require_one_model(self.model, other.model)
        return float(self.template @ other.template)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class AnalysedFaces:
    """The faces of one still, the best detection first. Index or iterate for single faces; a mask or slice selects.

    ``faces.boxes`` and the other properties are arrays over all N of them. ``detected``, float32 [M, 4] xyxy, is
    whatever may be a face, also what is too weak to count as one: ``redact`` fills it. ``frame`` is the picture, which
    may share memory with the array that was given: draw before you change that.
    """

    frame: Frame
    faces: Faces
    quality: Quality
    templates: Templates
    detected: Float32

    def __post_init__(self) -> None:
        if not len(self.faces) == len(self.quality) == len(self.templates):
            raise ValueError(
                f"faces, quality and templates must have as many rows, got {len(self.faces)}, {len(self.quality)} "
                f"and {len(self.templates)}"
            )

    def __repr__(self) -> str:
        return f"<{len(self)} faces in a picture of {self.frame.width}x{self.frame.height}>"

    @property
    def boxes(self) -> Float32:
        """float32 [N, 4], xyxy in pixels of the picture."""
        return self.faces.boxes

    @property
    def landmarks(self) -> Float32:
        """float32 [N, 5, 2], pixels: eyes, nose, corners of the mouth, as they stand in the picture."""
        return self.faces.landmarks

    @property
    def scores(self) -> Float32:
        """float32 [N], the detector's own scores, 0 to 1."""
        return self.faces.scores

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[AnalysedFace]:
        return (self[row] for row in range(len(self)))

    @overload
    def __getitem__(self, which: int) -> AnalysedFace: ...
    @overload
    def __getitem__(self, which: slice | npt.NDArray[np.bool_] | Int64 | Sequence[int]) -> AnalysedFaces: ...
    def __getitem__(
        self, which: int | slice | npt.NDArray[np.bool_] | Int64 | Sequence[int]
    ) -> AnalysedFace | AnalysedFaces:
        """One face by its number; or those that a slice, a mask or numbers name: ``faces[faces.scores > 0.9]``."""
        if isinstance(which, int | np.integer):
            return self._face(int(which))
        rows = np.arange(len(self))[which if isinstance(which, slice) else np.asarray(which)]
        return AnalysedFaces(
            frame=self.frame,
            faces=self.faces.select(rows),
            quality=self.quality.select(rows),
            templates=Templates(vectors=self.templates.vectors[rows], model=self.templates.model),
            detected=self.detected,
        )

    def compare(self, others: AnalysedFaces) -> Float32:
        """Comparison scores (cosine) of each face with each of ``others``, float32 [N, M].

        Raises ``ValueError`` where another network made their templates.
        """
        _require_one_model(self.templates.model, others.templates.model)
        scores: Float32 = self.templates.vectors @ others.templates.vectors.T
        return scores

    def draw(self, labels: Sequence[str] | None = None) -> Image.Image:
        """The picture with its faces drawn in, to show or to ``save``; each has its number and score, or its label."""
        if labels is None:
            labels = [f"{row}  {score:.2f}" for row, score in enumerate(self.scores.tolist())]
        return draw_faces(_rgb(self.frame), self.boxes, self.landmarks, labels)

    def redact(self, *, keep: int | None = None) -> Image.Image:
        """The picture with every face filled opaque, or every face but number ``keep``.

        That is all that was detected: what is not selected, or was too weak to count as a face, is filled as well.
        """
        picture = _rgb(self.frame).copy()
        if keep is None:
            fill_faces(picture, self.detected)
        else:
            fill_faces(picture, others_than(self.boxes[keep], self.detected), keep=self.boxes[keep].tolist())
        return Image.fromarray(picture)

    def wipe(self) -> None:
        """Overwrite the templates with zeros: for when they have served. Selections and single faces may be copies."""
        self.templates.vectors.fill(0)

    def to_supervision(self) -> supervision.Detections:
        """As ``supervision.Detections``, with quality and landmarks in its ``data``, and no template.

        Raises ``ConfigError`` where supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise ConfigError("to_supervision needs the package supervision: pip install supervision") from error
        return supervision.Detections(
            xyxy=self.boxes.copy(),
            confidence=self.scores.copy(),
            class_id=np.zeros(len(self), int),
            data={
                "class_name": np.full(len(self), "face"),
                "landmarks": self.landmarks.copy(),
                "quality": self.quality.score.copy(),
            },
        )

    def _face(self, row: int) -> AnalysedFace:
        if not -len(self) <= row < len(self):
            raise IndexError(f"there are {len(self)} faces, got number {row}")
        quality = self.quality
        return AnalysedFace(
            box=self.boxes[row],
            landmarks=self.landmarks[row],
            score=float(self.scores[row]),
            quality=float(quality.score[row]),
            yaw=float(quality.yaw[row]),
            pitch=float(quality.pitch[row]),
            roll=float(quality.roll[row]),
            template=self.templates.vectors[row],
            model=self.templates.model,
        )


class FaceAnalysis:
    """Detection, quality, alignment and embedding in one call. Threads may share it. Made by ``open_face_analysis``."""

    def __init__(self, detector: FaceDetector | DeviceDetector, embedder: Embedder) -> None:
        self._detector = detector
        self._finder = detector.with_score_floor(detector.score_floor * NEAR_SHARE)
        self._embedder = embedder

    @property
    def detector(self) -> Detector:
        return self._detector

    @property
    def embedder(self) -> Embedder:
        return self._embedder

    def get(self, image: Still, *, colour: Colour = "rgb") -> AnalysedFaces:
        """The faces of one picture: a file, an array uint8 [H, W, 3] of any strides, a Pillow image, or a frame.

        ``colour`` is the order of an array's channels; OpenCV's is "bgr". Raises ``MediaError`` for a file that is
        no picture, ``TypeError`` or ``ValueError`` for an array that is none.
        """
        return self.get_batch([image], colour=colour)[0]

    def get_batch(self, images: Sequence[Still], *, colour: Colour = "rgb") -> list[AnalysedFaces]:
        """As ``get`` for pictures of any sizes, which go through the networks together."""
        frames = [_frame(image, colour) for image in images]
        detected = self._finder.detect(frames)
        is_face = detected.scores >= self._detector.score_floor
        faces = detected if is_face.all() else detected.select(is_face)
        quality = measure_quality(frames, faces)
        templates = self._embedder.embed(self._embedder.align(frames, faces))
        found = []
        for place, frame in enumerate(frames):
            rows = np.flatnonzero(faces.frame_index == place)
            own = faces.select(rows)
            found.append(
                AnalysedFaces(
                    frame=frame,
                    faces=Faces(
                        frame_index=np.zeros(len(rows), np.int32),
                        boxes=own.boxes,
                        scores=own.scores,
                        landmarks=own.landmarks,
                        measures=own.measures,
                    ),
                    quality=quality.select(rows),
                    templates=Templates(vectors=templates.vectors[rows], model=templates.model),
                    detected=detected.boxes[detected.frame_index == place],
                )
            )
        # Each picture has its own copy; the one of the whole batch goes.
        templates.vectors.fill(0)
        return found


def open_face_analysis(
    *,
    detector: str | None = None,
    embedder: str | None = None,
    device: Device = "cpu",
    runtime: str = "auto",
    threads: int = 0,
    side_px: int | None = None,
    score_floor: float | None = None,
) -> FaceAnalysis:
    """A detector and an embedder, by name or the best networks on this machine, ready for stills.

    Arguments as for ``open_detector``; a larger ``side_px`` finds smaller faces. What was chosen is logged, and a
    network's licence notice is a warning in the log. Raises ``ConfigError``, ``ModelError`` or ``CudaError`` for what
    is not available: nothing is downloaded, and nothing falls back.
    """
    store = open_store()
    choices = [choose("detect", detector, store), choose("embed", embedder, store)]
    for choice in choices:
        log.info("%s", choice.reason)
        if (notice := store.manifest(choice.name).notice) is not None:
            log.warning("%s", notice)
    finder, comparer = (choice.name for choice in choices)
    name = choose_runtime(runtime, device=device).name
    if device == "cpu":
        return FaceAnalysis(
            open_detector(finder, runtime=name, threads=threads, side_px=side_px, score_floor=score_floor),
            open_embedder(comparer, runtime=name, threads=threads),
        )
    ops.require_device(device)
    uploads = Uploads(ops.Stream(device))
    return FaceAnalysis(
        open_device_detector(finder, uploads, runtime=name, side_px=side_px, score_floor=score_floor),
        HostEmbedderAdapter(open_device_embedder(comparer, uploads, runtime=name)),
    )


def _frame(image: Still, colour: Colour) -> Frame:
    if isinstance(image, Frame):
        return image
    if isinstance(image, Path | str):
        return Frame.still(read_image(image))
    if isinstance(image, Image.Image):
        return Frame.still(np.asarray(ImageOps.exif_transpose(image).convert("RGB")))
    return Frame.still(image, colour=colour)


def _rgb(frame: Frame) -> UInt8:
    """The whole picture, uint8 [H, W, 3] RGB."""
    if frame.planes and frame.layout == "rgb":
        return frame.planes[0]
    identity = np.eye(2, 3, dtype=np.float32)
    return ops.crop_rgb(frame, identity, width=frame.width, height=frame.height)


def _require_one_model(one: str, other: str) -> None:
    if one != other:
        raise ValueError(f"templates of two networks cannot be compared (sha256 {one} and {other}): use one for both")
