from __future__ import annotations

import numpy as np
import pytest

from pylfr import (
    _core,  # noqa: TID251 - the device schedule is not in ops
    ops,
)
from pylfr.types import Faces, Float32, Frame, Layout
from tests.native import reference
from tests.native.pictures import LAYOUTS, noise


def turned(points: Float32, *, scale: float, degrees: float, shift: tuple[float, float]) -> Float32:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(points @ rotation.T * scale + shift, np.float32)


def crops(frames: list[Frame], index: list[int], to_frame: Float32, side_px: int) -> Float32:
    return ops.warp(
        frames,
        np.array(index, np.int32),
        to_frame,
        side_px=side_px,
        bgr=False,
        mean=(0.0, 0.0, 0.0),
        scale=(1.0, 1.0, 1.0),
    )


@pytest.mark.parametrize(("scale", "degrees", "shift"), [(1, 0, (0, 0)), (3.5, 30, (900, 400)), (0.2, -170, (5, 9))])
def test_similarity_finds_the_turn_scale_and_shift_of_a_template(
    scale: float, degrees: float, shift: tuple[float, float]
) -> None:
    landmarks = turned(reference.ARCFACE, scale=scale, degrees=degrees, shift=shift)
    to_frame = ops.similarity(landmarks[None], reference.ARCFACE)
    mapped = reference.ARCFACE @ to_frame[0, :, :2].T + to_frame[0, :, 2]
    np.testing.assert_allclose(mapped, landmarks, atol=1e-3)


def test_similarity_of_many_uneven_faces_is_what_the_reference_says() -> None:
    draw = np.random.default_rng(1)
    landmarks = np.stack(
        [
            turned(reference.ARCFACE, scale=draw.uniform(0.2, 4), degrees=draw.uniform(0, 360), shift=(500, 300))
            + draw.normal(0, 4, (5, 2)).astype(np.float32)
            for _ in range(200)
        ]
    ).astype(np.float32)
    to_frame = ops.similarity(landmarks, reference.ARCFACE)
    for got, points in zip(to_frame, landmarks, strict=True):
        np.testing.assert_allclose(got, reference.similarity(points, reference.ARCFACE), rtol=1e-4, atol=1e-3)


def test_similarity_never_mirrors() -> None:
    mirrored = (reference.ARCFACE * np.array([-1, 1], np.float32) + np.array([112, 0], np.float32))[None]
    to_frame = ops.similarity(np.ascontiguousarray(mirrored), reference.ARCFACE)[0]
    assert np.linalg.det(to_frame[:, :2]) > 0


def test_coinciding_landmarks_give_a_map_of_scale_zero() -> None:
    to_frame = ops.similarity(np.full((1, 5, 2), 40, np.float32), reference.ARCFACE)
    np.testing.assert_array_equal(to_frame, [[[0, 0, 40], [0, 0, 40]]])


def test_similarity_of_no_faces_is_empty_and_refuses_what_is_not_a_number() -> None:
    assert ops.similarity(np.empty((0, 5, 2), np.float32), reference.ARCFACE).shape == (0, 2, 3)
    with pytest.raises(ValueError, match="landmarks must be finite, got nan"):
        ops.similarity(np.full((1, 5, 2), np.nan, np.float32), reference.ARCFACE)
    with pytest.raises(ValueError, match=r"landmarks must be float32 \[any, 5, 2\], got shape \[5, 2\]"):
        ops.similarity(reference.ARCFACE, reference.ARCFACE)
    with pytest.raises(TypeError, match="landmarks must be float32"):
        ops.similarity(reference.ARCFACE[None].astype(np.float64), reference.ARCFACE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (33, 21), (160, 120)])
def test_warp_is_what_the_reference_says_inside_across_and_outside_the_frame(
    layout: Layout, size: tuple[int, int]
) -> None:
    frame = noise(layout, *size, seed=2, padding=5)
    maps = np.array(
        [
            [[1, 0, 0], [0, 1, 0]],
            [[0.9, -0.3, size[0] / 2], [0.3, 0.9, -7.3]],
            [[4.1, 0.5, -40.2], [-0.5, 4.1, -20.7]],
            [[0, 0, 3], [0, 0, 2]],
            [[1, 0, 5000], [0, 1, -5000]],
        ],
        np.float32,
    )
    got = crops([frame], [0] * len(maps), maps, 24)
    for crop, to_frame in zip(got, maps, strict=True):
        wanted = np.moveaxis(reference.warp(frame, to_frame, 24, 24), -1, 0)
        np.testing.assert_allclose(crop, wanted, atol=0.02)


def test_warp_encodes_as_the_network_wants_it() -> None:
    frame = noise("i420", 64, 48)
    to_frame = np.array([[[1, 0.1, 3], [-0.1, 1, 2]]], np.float32)
    mean, scale = (10.0, 20.0, 30.0), (1.0, 0.5, 0.25)
    got = ops.warp([frame], np.zeros(1, np.int32), to_frame, side_px=32, bgr=True, mean=mean, scale=scale)
    wanted = reference.encode(reference.warp(frame, to_frame[0], 32, 32), bgr=True, mean=mean, scale=scale)
    np.testing.assert_allclose(got[0], wanted, atol=0.02)


def test_each_crop_is_taken_from_its_own_frame() -> None:
    frames = [noise("i420", 40, 40, seed=1), noise("rgb", 50, 30, seed=2), noise("nv12", 20, 20, seed=3)]
    maps = np.tile(np.array([[1, 0, 1], [0, 1, 2]], np.float32), (4, 1, 1))
    index = [2, 0, 1, 2]
    got = crops(frames, index, maps, 16)
    for crop, which in zip(got, index, strict=True):
        np.testing.assert_array_equal(crop, crops([frames[which]], [0], maps[:1], 16)[0])


def test_maps_that_are_no_numbers_or_endless_give_black_and_do_not_crash() -> None:
    bad = np.full((3, 2, 3), np.nan, np.float32)
    bad[1], bad[2] = np.inf, 3e38
    assert (crops([noise("i420", 16, 16)], [0, 0, 0], bad, 8) == 0).all()


def test_no_faces_make_no_crops_with_and_without_frames() -> None:
    none = np.empty((0, 2, 3), np.float32)
    assert crops([], [], none, 112).shape == (0, 3, 112, 112)
    assert crops([noise("rgb", 4, 4)], [], none, 112).shape == (0, 3, 112, 112)


def test_a_crop_of_a_frame_that_is_not_there_is_refused() -> None:
    maps = np.zeros((2, 2, 3), np.float32)
    with pytest.raises(ValueError, match="picture_index must name one of 1 pictures, got 1 in row 1"):
        crops([noise("rgb", 4, 4)], [0, 1], maps, 8)
    with pytest.raises(ValueError, match="got -1 in row 0"):
        crops([noise("rgb", 4, 4)], [-1, 0], maps, 8)
    with pytest.raises(ValueError, match=r"to_frame must be float32 \[1, 2, 3\], got shape \[2, 2, 3\]"):
        crops([noise("rgb", 4, 4)], [0], maps, 8)
    with pytest.raises(ValueError, match="out must be"):
        ops.warp(
            [noise("rgb", 4, 4)],
            np.zeros(2, np.int32),
            maps,
            side_px=8,
            bgr=False,
            mean=(0, 0, 0),
            scale=(1, 1, 1),
            out=np.zeros((2, 3, 9, 9), np.float32),
        )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_crop_for_people_is_the_reference_rounded(layout: Layout) -> None:
    frame = noise(layout, 60, 40, seed=4)
    to_frame = np.array([[0.7, 0.2, -5], [-0.2, 0.7, 3]], np.float32)
    got = ops.crop_rgb(frame, to_frame, width=50, height=30)
    assert got.shape == (30, 50, 3)
    wanted = reference.warp(frame, to_frame, 50, 30)
    assert np.abs(got - wanted).max() <= 0.52


def test_an_identity_crop_of_an_rgb_picture_is_the_picture() -> None:
    frame = noise("rgb", 31, 17)
    got = ops.crop_rgb(frame, np.array([[1, 0, 0], [0, 1, 0]], np.float32), width=31, height=17)
    np.testing.assert_array_equal(got, frame.planes[0])


def faces_with(landmarks: Float32, frame_index: list[int]) -> Faces:
    count = len(landmarks)
    return Faces(
        frame_index=np.array(frame_index, np.int32),
        boxes=np.zeros((count, 4), np.float32),
        scores=np.ones(count, np.float32),
        landmarks=landmarks.astype(np.float32),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_quality_is_what_the_reference_says(layout: Layout) -> None:
    frame = noise(layout, 300, 200, seed=6)
    draw = np.random.default_rng(2)
    landmarks = np.stack(
        [
            turned(reference.ARCFACE, scale=scale, degrees=degrees, shift=(120, 40)) + draw.normal(0, 2, (5, 2))
            for scale, degrees in ((0.3, 0), (1, 20), (1.5, -35), (3, 100))
        ]
    ).astype(np.float32)
    got = ops.measure_quality([frame], faces_with(landmarks, [0] * 4))
    wanted = [reference.quality(frame, points) for points in landmarks]
    np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-3)


def head(*, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Float32:
    """Landmarks of the plain head that the core assumes, turned; 40 px between the eyes of a frontal one."""
    y, p, r = np.radians([yaw, pitch, roll])
    points = np.array([[-1, 0, 0], [1, 0, 0], [0, 1.14, 0.8], [-0.8, 2.31, 0], [0.8, 2.31, 0]])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    flat = (points @ nod.T @ turn.T)[:, :2]
    lean = np.array([[np.cos(r), -np.sin(r)], [np.sin(r), np.cos(r)]])
    return np.asarray(flat @ lean.T * 20 + (100, 60), np.float32)


@pytest.mark.parametrize("angle", [-60.0, -25.0, 0.0, 10.0, 45.0])
def test_a_turned_nodded_or_leaned_head_is_measured_as_such(angle: float) -> None:
    landmarks = np.stack([head(yaw=angle), head(pitch=angle), head(roll=angle), head(yaw=angle, roll=20)])
    got = ops.measure_quality([noise("rgb", 200, 160)], faces_with(landmarks, [0] * 4))
    yaw, pitch, roll = got[:, 2], got[:, 3], got[:, 4]
    np.testing.assert_allclose(yaw, [angle, 0, 0, angle], atol=0.01)
    np.testing.assert_allclose(pitch, [0, angle, 0, 0], atol=0.01)
    np.testing.assert_allclose(roll, [0, 0, angle, 20], atol=0.01)
    np.testing.assert_allclose(got[1:3, 1], 40, rtol=1e-5)


def test_a_blurred_face_is_less_sharp_and_a_dark_one_less_bright() -> None:
    sharp = noise("rgb", 200, 160)
    blurred = sharp.planes[0].astype(np.float64)
    for axis in (0, 1):
        blurred = np.mean([np.roll(blurred, shift, axis) for shift in range(-3, 4)], axis=0)
    frames = [sharp, Frame.still(blurred.astype(np.uint8)), Frame.still(sharp.planes[0] // 4)]
    got = ops.measure_quality(frames, faces_with(np.stack([head()] * 3), [0, 1, 2]))
    assert got[1, 0] < got[0, 0] / 20
    np.testing.assert_allclose(got[2, 5], got[0, 5] / 4, atol=0.01)
    assert got[1, 6] < got[0, 6] / 2


def test_quality_of_no_faces_is_empty_and_of_coinciding_landmarks_finite() -> None:
    assert ops.measure_quality([], Faces.none()).shape == (0, 7)
    point = np.full((1, 5, 2), 30, np.float32)
    assert np.isfinite(ops.measure_quality([noise("i420", 64, 64)], faces_with(point, [0]))).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bgr", [False, True])
def test_the_row_schedule_of_the_warp_gives_the_bits_of_the_device_schedule(layout: Layout, bgr: bool) -> None:
    draw = np.random.default_rng(5)
    frames = [noise(layout, 97, 61, seed=1), noise(layout, 640, 360, seed=2)]
    maps = np.concatenate(
        [draw.normal(0, 2, (40, 2, 2)), draw.uniform(-80, 400, (40, 2, 1))], axis=2, dtype=np.float64
    ).astype(np.float32)
    maps[0] = [[np.nan, 0, 1], [0, np.inf, 2]]
    index = draw.integers(0, 2, 40).astype(np.int32)
    for side in (1, 63, 64, 112):
        shape = (40, 3, side, side)
        by_row, by_pixel = np.empty(shape, np.float32), np.empty(shape, np.float32)
        pictures = [_core.Picture(frame.planes, frame.layout, frame.matrix, frame.full_range) for frame in frames]
        how = (bgr, (104.0, 117.0, 123.0), (0.5, 1.0, 0.0078125))
        _core.warp(pictures, index, maps, by_row, *how)
        _core.warp(pictures, index, maps, by_pixel, *how, per_pixel=True)
        assert by_row.tobytes() == by_pixel.tobytes()
