"""How each output head of a detector becomes boxes, scores and landmarks in network pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pylfr import ops
from pylfr.errors import ModelError
from pylfr.models.manifest import ModelManifest
from pylfr.types import Float32, Int32


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
class HeadOutputs:
    """What a network gave for a batch of ``width`` x ``height`` pixels, and how much of it is wanted."""

    outputs: Mapping[str, Float32]
    strides: tuple[int, ...]
    anchors: int
    width: int
    height: int
    score_floor: float


def _yunet(given: HeadOutputs) -> RawFaces:
    by_kind = {
        kind: [given.outputs[f"{kind}_{stride}"] for stride in given.strides] for kind in ("cls", "obj", "bbox", "kps")
    }
    index, boxes, scores, landmarks = ops.decode_yunet(
        by_kind["cls"],
        by_kind["obj"],
        by_kind["bbox"],
        by_kind["kps"],
        strides=given.strides,
        width=given.width,
        height=given.height,
        score_floor=given.score_floor,
    )
    return RawFaces(batch_index=index, boxes=boxes, scores=scores, landmarks=landmarks)


def _scrfd(given: HeadOutputs) -> RawFaces:
    # SCRFD exports differ in the names of their outputs but agree in their order: all scores, all boxes, all keypoints.
    levels = len(given.strides)
    tensors = list(given.outputs.values())
    if len(tensors) != 3 * levels:
        raise ModelError(
            f"an scrfd head has {3 * levels} outputs for {levels} strides, this network has {len(tensors)}"
        )
    index, boxes, scores, landmarks = ops.decode_scrfd(
        tensors[:levels],
        tensors[levels : 2 * levels],
        tensors[2 * levels :],
        strides=given.strides,
        anchors=given.anchors,
        width=given.width,
        height=given.height,
        score_floor=given.score_floor,
    )
    return RawFaces(batch_index=index, boxes=boxes, scores=scores, landmarks=landmarks)


_HEADS: Mapping[str, Callable[[HeadOutputs], RawFaces]] = {"yunet": _yunet, "scrfd": _scrfd}


def decode(
    manifest: ModelManifest, outputs: Mapping[str, Float32], *, width: int, height: int, score_floor: float
) -> RawFaces:
    """Decode ``outputs`` by the manifest's head. Raises ``ModelError`` where they do not fit it."""
    if manifest.detect is None or manifest.head not in _HEADS:
        raise ModelError(f"{manifest.name} must have one of the heads {', '.join(_HEADS)}, got {manifest.head!r}")
    given = HeadOutputs(
        outputs=outputs,
        strides=manifest.detect.strides,
        anchors=manifest.detect.anchors,
        width=width,
        height=height,
        score_floor=score_floor,
    )
    try:
        return _HEADS[manifest.head](given)
    except (KeyError, ValueError) as error:
        shapes = {name: list(tensor.shape) for name, tensor in outputs.items()}
        raise ModelError(
            f"the outputs of {manifest.name} do not fit its head {manifest.head!r} ({error}); it gave {shapes}"
        ) from error
