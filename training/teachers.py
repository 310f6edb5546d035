"""The two teachers, run by OpenVINO: faces with landmarks (yunet_n), embeddings and features (face_reid_0095)."""

from __future__ import annotations

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from people import teacher_path

STRIDES = (8, 16, 32)


def compile_network(network: ov.Model, *, threads: int, precision: str) -> ov.CompiledModel:
    """A network ready to run on the CPU with so many threads, unpinned so that several processes share the cores."""
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision, "ENABLE_CPU_PINNING": False}
    return ov.Core().compile_model(network, "CPU", options)


class EmbeddingTeacher:
    """face_reid_0095 on BGR crops [n, 128, 128, 3] uint8."""

    def __init__(self, *, threads: int = 2, maps: tuple[str, ...] = (), precision: str = "bf16") -> None:
        network = ov.Core().read_model(teacher_path("face_reid_0095.onnx"))
        network.add_outputs(list(maps))
        self._compiled = compile_network(network, threads=threads, precision=precision)

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors [n, 256]."""
        vectors = self.answer(np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32))[0]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def answer(self, crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """For crops [n, 3, 128, 128]: vectors [n, 256], not normalised, and the maps asked for."""
        out = self._compiled(crops)
        return [out[i] for i in range(len(out))]


class DetectionTeacher:
    """yunet_n on one BGR picture of any size."""

    def __init__(self, *, threads: int = 2, path: str | None = None) -> None:
        self._compiled = compile_network(
            ov.Core().read_model(path or teacher_path("yunet_n.onnx")), threads=threads, precision="f32"
        )

    def maps(self, batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """For BGR [n, h, w, 3] (multiples of 32), a [n, cells, 16] a stride: cls, obj, box, landmarks."""
        out = self._compiled(np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32))
        return [np.concatenate([out[f"{head}_{s}"] for head in ("cls", "obj", "bbox", "kps")], 2) for s in STRIDES]

    def detect(self, image: NDArray[np.uint8], *, score: float = 0.6, nms: float = 0.45) -> NDArray[np.float32]:
        """float32 [faces, 15], best first: x1, y1, x2, y2 and five landmarks in pixels, then the score."""
        h, w = image.shape[:2]
        padded = cv2.copyMakeBorder(image, 0, -h % 32, 0, -w % 32, cv2.BORDER_CONSTANT)
        faces = decode([m[0] for m in self.maps(padded[None])], padded.shape[1], score=score)
        return suppress(faces, nms)


def decode(maps: list[NDArray[np.float32]], width: int, *, score: float) -> NDArray[np.float32]:
    """float32 [faces, 15] of every cell whose sqrt(cls * obj) reaches the score, unsuppressed."""
    found = []
    for stride, cells in zip(STRIDES, maps, strict=True):
        scores = np.sqrt(np.clip(cells[:, 0], 0, 1) * np.clip(cells[:, 1], 0, 1))
        at = np.flatnonzero(scores >= score)
        grid = np.stack([at % (width // stride), at // (width // stride)], 1).astype(np.float32)
        v = cells[at]
        centre = (grid + v[:, 2:4]) * stride
        half = np.exp(v[:, 4:6]) * stride / 2
        points = (np.tile(grid, 5) + v[:, 6:16]) * stride
        found.append(np.concatenate([centre - half, centre + half, points, scores[at, None]], 1))
    return np.concatenate(found).astype(np.float32)


def overlap(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one xyxy box with many."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:4], boxes[:, 2:4])
    both = np.prod(np.clip(high - low, 0, None), 1)
    return both / (np.prod(box[2:4] - box[:2]) + np.prod(boxes[:, 2:4] - boxes[:, :2], 1) - both + 1e-9)


def suppress(faces: NDArray[np.float32], nms: float) -> NDArray[np.float32]:
    """The faces that no better one overlaps by more than `nms`, best first."""
    faces = faces[np.argsort(-faces[:, 14])]
    kept: list[NDArray[np.float32]] = []
    while len(faces):
        kept.append(faces[0])
        faces = faces[1:][overlap(faces[0], faces[1:]) <= nms]
    return np.stack(kept) if kept else np.zeros((0, 15), np.float32)
