"""A detector and an embedder without networks: the colour of an image's first pixel says who is on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pylfr import ops
from pylfr.types import Faces, Float32, Frame, Templates, UInt8, as_frames

MODEL = "ab" * 32
OTHER_MODEL = "cd" * 32
DIMENSION = 128
SIDE_PX = 112
LANDMARKS = np.array([[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]], np.float32)


def image_of(person: int, *, view: int = 0, size_px: int = 200) -> UInt8:
    """A sharp, evenly lit picture in which ``StandInDetector`` sees one large frontal face: ``person``."""
    picture = np.random.default_rng([person, view]).integers(40, 216, (size_px, size_px, 3), np.uint8)
    picture[0, 0] = (person // 256, person % 256, view)
    return picture


def template_of(person: int, view: int) -> Float32:
    """Unit length, float32 [1, D]: views of one person score about 0.9, those of two people about 0."""
    base = np.random.default_rng([7, person]).normal(size=(1, DIMENSION))
    noise = np.random.default_rng([8, person, view]).normal(size=(1, DIMENSION))
    template = (base + 0.3 * noise).astype(np.float32)
    ops.normalise(template)
    return template


class StandInDetector:
    """Sees the same ``faces`` in every image: one large frontal face unless told otherwise."""

    def __init__(self, *landmarks: Float32) -> None:
        self._landmarks = landmarks or (LANDMARKS + 44,)

    @property
    def model(self) -> str:
        return "ef" * 32

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        count = len(self._landmarks)
        landmarks = np.array(self._landmarks * len(images), np.float32).reshape(-1, 5, 2)
        return Faces(
            frame_index=np.repeat(np.arange(len(images), dtype=np.int32), count),
            boxes=np.concatenate([landmarks.min(axis=1) - 20, landmarks.max(axis=1) + 20], axis=1),
            scores=np.full(len(landmarks), 0.9, np.float32),
            landmarks=landmarks,
        )


class NoFaceDetector(StandInDetector):
    """Sees nobody."""

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        return Faces.none()


class StandInEmbedder:
    """Reads the person from the first pixel instead of the face."""

    def __init__(self, *, model: str = MODEL) -> None:
        self._model = model

    @property
    def model(self) -> str:
        return self._model

    @property
    def dimension(self) -> int:
        return DIMENSION

    @property
    def side_px(self) -> int:
        return SIDE_PX

    @property
    def landmark_template(self) -> Float32:
        return LANDMARKS

    def align(self, frames: Sequence[Frame | UInt8], faces: Faces) -> Float32:
        pictures = [frame.planes[0] for frame in as_frames(frames)]
        crops = np.empty((len(faces), 3, SIDE_PX, SIDE_PX), np.float32)
        for row, index in enumerate(faces.frame_index):
            # Of one colour: made coarser, it is the same person.
            crops[row] = pictures[index][0, 0][:, np.newaxis, np.newaxis]
        return crops

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        colours = np.rint(crops[:, :, 0, 0]).astype(int)
        people = [(256 * red + green, blue) for red, green, blue in colours.tolist()]
        vectors = np.concatenate([template_of(*each) for each in people])
        if out is not None:
            out[:] = vectors
        return Templates(vectors=out if out is not None else vectors, model=self._model)


def probe_of(person: int, view: int = 99, *, model: str = MODEL) -> Templates:
    """A view of ``person`` that nobody enrolled."""
    return Templates(vectors=template_of(person, view), model=model)
