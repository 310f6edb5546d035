"""Decoding a detector's output head into boxes, scores and landmarks in network pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pylfr import ops
from pylfr.errors import ModelError
from pylfr.models.manifest import ModelManifest
from pylfr.types import Float32, Int32

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawFaces:
    """Overlapping detections of a batch, before suppression; boxes and landmarks in pixels of the network's input.

    ``batch_index`` int32 [M], ``boxes`` float32 [M, 4] xyxy, ``scores`` [M], ``landmarks`` [M, 5, 2].
    """

    batch_index: Int32
    boxes: Float32
    scores: Float32
    landmarks: Float32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadTensors(Generic[T]):
    """A head's outputs by meaning, one per stride; ``obj`` is empty for a head without it."""

    cls: list[T]
    obj: list[T]
    boxes: list[T]
    kps: list[T]


def split_head(manifest: ModelManifest, outputs: Mapping[str, T]) -> HeadTensors[T]:
    """Assign the outputs by the manifest's head. Raises ``ModelError`` if they do not match it."""
    if manifest.detect is None or manifest.head not in ("yunet", "scrfd"):
        raise ModelError(f"{manifest.name} must have one of the heads yunet, scrfd, got {manifest.head!r}")
    strides = manifest.detect.strides
    if manifest.head == "yunet":
        missing = [
            name for kind in ("cls", "obj", "bbox", "kps") for s in strides if (name := f"{kind}_{s}") not in outputs
        ]
        if missing:
            raise ModelError(f"the outputs of {manifest.name} do not match its head 'yunet': {missing[0]} is missing")
        cls, obj, boxes, kps = (
            [outputs[f"{kind}_{stride}"] for stride in strides] for kind in ("cls", "obj", "bbox", "kps")
        )
        return HeadTensors(cls=cls, obj=obj, boxes=boxes, kps=kps)
    # SCRFD exports differ in the names of their outputs but agree in their order: all scores, all boxes, all keypoints.
    levels, tensors = len(strides), list(outputs.values())
    if len(tensors) != 3 * levels:
        raise ModelError(
            f"an scrfd head has {3 * levels} outputs for {levels} strides, this network has {len(tensors)}"
        )
    return HeadTensors(cls=tensors[:levels], obj=[], boxes=tensors[levels : 2 * levels], kps=tensors[2 * levels :])


def decode(
    manifest: ModelManifest, outputs: Mapping[str, Float32], *, width: int, height: int, score_floor: float
) -> RawFaces:
    """Decode ``outputs`` by the manifest's head. Raises ``ModelError`` if they do not match it."""
    detect = manifest.detection
    head = split_head(manifest, outputs)
    try:
        if manifest.head == "yunet":
            index, boxes, scores, landmarks = ops.decode_yunet(
                head.cls,
                head.obj,
                head.boxes,
                head.kps,
                strides=detect.strides,
                width=width,
                height=height,
                score_floor=score_floor,
            )
        else:
            index, boxes, scores, landmarks = ops.decode_scrfd(
                head.cls,
                head.boxes,
                head.kps,
                strides=detect.strides,
                anchors=detect.anchors,
                width=width,
                height=height,
                score_floor=score_floor,
            )
    except ValueError as error:
        shapes = {name: list(tensor.shape) for name, tensor in outputs.items()}
        raise ModelError(
            f"the outputs of {manifest.name} do not match its head {manifest.head!r} ({error}); got {shapes}"
        ) from error
    return RawFaces(batch_index=index, boxes=boxes, scores=scores, landmarks=landmarks)
