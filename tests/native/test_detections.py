from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylfr import ops
from pylfr.types import Float32, Frame, Int32
from tests.native import reference

STRIDES = (8, 16, 32)
WIDTH, HEIGHT = 96, 64


def levels(
    numbers: int, *, batch: int, anchors: int = 1, seed: int = 0, low: float = 0, high: float = 1
) -> list[Float32]:
    draw = np.random.default_rng(seed + numbers)
    return [
        draw.uniform(low, high, (batch, (WIDTH // s) * (HEIGHT // s) * anchors, numbers)).astype(np.float32)
        for s in STRIDES
    ]


def assert_decoded(got: tuple[Int32, Float32, Float32, Float32], wanted: reference.Decoded) -> None:
    images, boxes, scores, landmarks = got
    assert images.dtype == np.int32
    assert images.tolist() == wanted[0]
    np.testing.assert_allclose(boxes, np.reshape(wanted[1], (-1, 4)), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(scores, wanted[2], rtol=1e-5)
    np.testing.assert_allclose(landmarks, np.reshape(wanted[3], (-1, 5, 2)), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("score_floor", [0.0, 0.7, 1.1])
def test_yunet_cells_become_the_faces_that_the_reference_says(batch: int, score_floor: float) -> None:
    cls, obj = levels(1, batch=batch, low=-0.2, high=1.2), levels(1, batch=batch, seed=9)
    bbox, kps = levels(4, batch=batch, low=-1, high=2), levels(10, batch=batch, low=-1, high=2)
    got = ops.decode_yunet(cls, obj, bbox, kps, STRIDES, WIDTH, HEIGHT, score_floor)
    assert_decoded(got, reference.decode_yunet(cls, obj, bbox, kps, STRIDES, WIDTH, score_floor))
    assert (len(got[0]) == 0) == (batch == 0 or score_floor > 1)


@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("anchors", [1, 2])
def test_scrfd_anchors_become_the_faces_that_the_reference_says(batch: int, anchors: int) -> None:
    scores = levels(1, batch=batch, anchors=anchors)
    distances, kps = (levels(n, batch=batch, anchors=anchors, low=-0.5, high=3) for n in (4, 10))
    got = ops.decode_scrfd(scores, distances, kps, STRIDES, anchors, WIDTH, HEIGHT, 0.6)
    assert_decoded(got, reference.decode_scrfd(scores, distances, kps, STRIDES, anchors, WIDTH, 0.6))


def test_scores_and_boxes_that_are_no_numbers_make_no_face() -> None:
    cls, obj, bbox, kps = (levels(n, batch=1) for n in (1, 1, 4, 10))
    for array in (*cls, *obj):
        array[:] = 1
    cls[0][:] = np.nan
    bbox[1][..., 2] = 1000  # exp overflows
    kps[2][..., 0] = np.inf
    assert len(ops.decode_yunet(cls, obj, bbox, kps, STRIDES, WIDTH, HEIGHT, 0.5)[0]) == 0


def test_heads_that_do_not_fit_the_input_are_refused_by_name() -> None:
    cls, obj, bbox, kps = (levels(n, batch=1) for n in (1, 1, 4, 10))
    with pytest.raises(ValueError, match=r"cls\[0\] must be float32 \[1, 192, 1\], got shape \[1, 96, 1\]"):
        ops.decode_yunet(cls, obj, bbox, kps, STRIDES, 192, 64, 0.5)
    with pytest.raises(ValueError, match=r"bbox\[1\] must be float32 \[1, 24, 4\], got shape \[1, 24, 10\]"):
        ops.decode_yunet(cls, obj, [bbox[0], kps[1], bbox[2]], kps, STRIDES, WIDTH, HEIGHT, 0.5)
    with pytest.raises(ValueError, match="kps must have one array for each of 3 strides, got 2"):
        ops.decode_yunet(cls, obj, bbox, kps[:2], STRIDES, WIDTH, HEIGHT, 0.5)
    with pytest.raises(ValueError, match="multiple of stride 32, got 100x64"):
        ops.decode_yunet(cls, obj, bbox, kps, (32, 16, 8), 100, HEIGHT, 0.5)
    with pytest.raises(TypeError, match=r"obj\[0\] must be float32"):
        ops.decode_yunet(cls, [o.astype(np.float64) for o in obj], bbox, kps, STRIDES, WIDTH, HEIGHT, 0.5)
    with pytest.raises(ValueError, match="anchors must be 1 to 1024 a cell, got 0"):
        ops.decode_scrfd(cls, bbox, kps, STRIDES, 0, WIDTH, HEIGHT, 0.5)
    with pytest.raises(ValueError, match="strides must name one level"):
        ops.decode_yunet([], [], [], [], (), WIDTH, HEIGHT, 0.5)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 60), images=st.integers(1, 4), threshold=st.floats(0.05, 0.9), seed=st.integers(0, 999))
def test_suppression_leaves_what_the_reference_leaves(count: int, images: int, threshold: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    corners = draw.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corners, corners + draw.uniform(5, 40, (count, 2))], axis=1).astype(np.float32)
    scores = draw.choice(np.linspace(0, 1, 15), count).astype(np.float32)  # with ties
    image = draw.integers(0, images, count).astype(np.int32)
    assert ops.nms(image, boxes, scores, threshold).tolist() == reference.nms(image, boxes, scores, threshold)


def test_suppression_of_nothing_of_one_and_of_boxes_without_area() -> None:
    none = np.empty(0, np.float32)
    assert ops.nms(np.empty(0, np.int32), np.empty((0, 4), np.float32), none, 0.5).tolist() == []
    one = np.array([[0, 0, 10, 10]], np.float32)
    assert ops.nms(np.zeros(1, np.int32), one, np.ones(1, np.float32), 0.5).tolist() == [0]
    points = np.full((3, 4), 5, np.float32)
    assert ops.nms(np.zeros(3, np.int32), points, np.ones(3, np.float32), 0.5).tolist() == [0, 1, 2]


def test_suppression_refuses_arrays_that_do_not_fit() -> None:
    index, boxes, scores = np.zeros(2, np.int32), np.zeros((2, 4), np.float32), np.zeros(2, np.float32)
    with pytest.raises(ValueError, match=r"scores must be float32 \[2\], got shape \[1\]"):
        ops.nms(index, boxes, scores[:1], 0.5)
    with pytest.raises(TypeError, match=r"batch_index must be int32 \[any\], got dtype int64"):
        ops.nms(index.astype(np.int64), boxes, scores, 0.5)
    with pytest.raises(ValueError, match="scores must be finite"):
        ops.nms(index, boxes, np.full(2, np.nan, np.float32), 0.5)


def test_both_networks_name_landmarks_in_the_order_of_the_picture(models_dir: Path, media_dir: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    av = pytest.importorskip("av")
    with av.open(str(media_dir / "video" / "head-pose-face-detection-male.mp4")) as video:
        rgb = next(video.decode(video=0)).to_ndarray(format="rgb24")

    def run(name: str, *, bgr: bool, mean: float, scale: float) -> list[Float32]:
        tensor, _ = ops.letterbox(
            [Frame.still(rgb)], width=640, height=384, bgr=bgr, mean=[mean] * 3, scale=[scale] * 3
        )
        session = onnxruntime.InferenceSession(models_dir / name, providers=["CPUExecutionProvider"])
        return list(session.run(None, {session.get_inputs()[0].name: tensor}))

    y = run("yunet_n.onnx", bgr=True, mean=0, scale=1)
    s = run("scrfd_500m_kps.onnx", bgr=False, mean=127.5, scale=1 / 128)
    for images, boxes, scores, landmarks in (
        ops.decode_yunet(y[:3], y[3:6], y[6:9], y[9:], STRIDES, 640, 384, 0.5),
        ops.decode_scrfd(s[:3], s[3:6], s[6:], STRIDES, 2, 640, 384, 0.5),
    ):
        assert len(ops.nms(images, boxes, scores, 0.45)) == 1
        left, right, nose, mouth_left, mouth_right = landmarks[scores.argmax()]
        assert left[0] < nose[0] < right[0]
        assert mouth_left[0] < mouth_right[0]
        assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
