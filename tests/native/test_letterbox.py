from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylfr import _core, ops  # noqa: TID251 - the device's schedule and Picture are not reachable through ops
from pylfr.types import ColourMatrix, Float32, Frame, Layout
from tests.native import reference
from tests.native.pictures import AWKWARD_SIZES, LAYOUTS, MATRICES, frame_of, noise

MEAN = (104.0, 117.0, 123.0)
SCALE = (1.0, 0.5, 0.0078125)


def per_pixel(frames: list[Frame], *, width: int, height: int, bgr: bool) -> Float32:
    pictures = [_core.Picture(f.planes, f.layout, f.matrix, f.full_range) for f in frames]
    out = np.full((len(frames), 3, height, width), np.nan, np.float32)
    _core.letterbox(pictures, out, bgr, MEAN, SCALE, per_pixel=True)
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", AWKWARD_SIZES)
@pytest.mark.parametrize("bgr", [False, True])
def test_letterbox_is_what_the_reference_says(layout: Layout, size: tuple[int, int], bgr: bool) -> None:
    frame = noise(layout, *size, seed=size[0])
    tensor, factors = ops.letterbox([frame], width=64, height=32, bgr=bgr, mean=MEAN, scale=SCALE)
    wanted, factor = reference.letterbox(frame, width=64, height=32, bgr=bgr, mean=MEAN, scale=SCALE)
    np.testing.assert_allclose(tensor[0], wanted, atol=1e-3, rtol=0)
    np.testing.assert_allclose(factors, [factor], rtol=1e-6)


@pytest.mark.parametrize("layout", ["i420", "nv12"])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full_range", [False, True])
def test_letterbox_knows_every_colour_matrix_and_range(layout: Layout, matrix: ColourMatrix, full_range: bool) -> None:
    frame = noise(layout, 48, 36, seed=3, matrix=matrix, full_range=full_range)
    tensor, _ = ops.letterbox([frame], width=32, height=32, bgr=False, mean=MEAN, scale=SCALE)
    wanted, _ = reference.letterbox(frame, width=32, height=32, bgr=False, mean=MEAN, scale=SCALE)
    np.testing.assert_allclose(tensor[0], wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("yuv", "rgb"),
    [((16, 128, 128), (0, 0, 0)), ((235, 128, 128), (255, 255, 255)), ((81, 90, 240), (255, 0, 0))],
)
def test_black_white_and_red_of_bt601_come_out_as_themselves(
    yuv: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    planes = [np.full(shape, value, np.uint8) for shape, value in zip([(8, 8), (4, 4), (4, 4)], yuv, strict=True)]
    tensor, _ = ops.letterbox([frame_of(planes, "i420")], width=8, height=8, bgr=False, mean=(0, 0, 0), scale=(1, 1, 1))
    np.testing.assert_allclose(tensor[0, :, 4, 4], rgb, atol=1.6)


@settings(max_examples=150, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    out_width=st.integers(1, 90),
    out_height=st.integers(1, 90),
    padding=st.integers(0, 70),
    full_range=st.booleans(),
    bgr=st.booleans(),
    seed=st.integers(0, 99),
)
def test_row_and_pixel_schedules_agree_to_the_bit(
    layout: Layout,
    width: int,
    height: int,
    out_width: int,
    out_height: int,
    padding: int,
    full_range: bool,
    bgr: bool,
    seed: int,
) -> None:
    frame = noise(layout, width, height, seed=seed, full_range=full_range, padding=padding)
    rows = np.full((1, 3, out_height, out_width), np.nan, np.float32)
    ops.letterbox([frame], width=out_width, height=out_height, bgr=bgr, mean=MEAN, scale=SCALE, out=rows)
    pixels = per_pixel([frame], width=out_width, height=out_height, bgr=bgr)
    assert rows.tobytes() == pixels.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_schedules_agree_to_the_bit_on_a_full_size_frame(layout: Layout) -> None:
    frame = noise(layout, 1920, 1080, matrix="bt709", padding=64)
    rows, _ = ops.letterbox([frame], width=640, height=384, bgr=True, mean=MEAN, scale=SCALE)
    assert rows.tobytes() == per_pixel([frame], width=640, height=384, bgr=True).tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_padding_of_rows_is_never_looked_at(layout: Layout) -> None:
    padded = noise(layout, 37, 29, padding=27)
    packed = frame_of([np.ascontiguousarray(plane) for plane in padded.planes], layout)
    both, _ = ops.letterbox([padded, packed], width=64, height=64, bgr=False, mean=MEAN, scale=SCALE)
    np.testing.assert_array_equal(both[0], both[1])


def test_a_smooth_picture_keeps_its_geometry() -> None:
    rows, columns = np.mgrid[:96, :160].astype(np.float64)
    rgb = np.stack([columns * 1.5, rows * 2.5, np.full_like(rows, 90)], axis=-1).round().astype(np.uint8)
    tensor, factors = ops.letterbox([Frame.still(rgb)], width=80, height=80, bgr=False, mean=(0, 0, 0), scale=(1, 1, 1))
    assert factors[0] == np.float32(0.5)
    # Centre of network pixel 10 is (10 + 0.5) / 0.5 - 0.5 = 20.5 in the picture.
    np.testing.assert_allclose(tensor[0, :2, 10, 10], [20.5 * 1.5, 20.5 * 2.5], atol=1)
    assert (tensor[0, :, 48:] == 0).all()
    assert (tensor[0, 2, :48] == 90).all()


def test_what_the_picture_does_not_cover_is_black_before_mean_and_scale() -> None:
    tensor, _ = ops.letterbox([noise("i420", 64, 16)], width=32, height=32, bgr=False, mean=MEAN, scale=SCALE)
    for channel in range(3):
        assert (tensor[0, channel, 8:] == np.float32(-MEAN[channel] * SCALE[channel])).all()


def test_frames_of_different_sizes_and_layouts_share_a_batch() -> None:
    frames = [noise("i420", 640, 480), noise("rgb", 31, 99), noise("nv12", 64, 64)]
    together, factors = ops.letterbox(frames, width=96, height=64, bgr=False, mean=MEAN, scale=SCALE)
    for index, frame in enumerate(frames):
        alone, factor = ops.letterbox([frame], width=96, height=64, bgr=False, mean=MEAN, scale=SCALE)
        np.testing.assert_array_equal(together[index], alone[0])
        assert factors[index] == factor[0]


def test_no_frames_make_an_empty_tensor() -> None:
    tensor, factors = ops.letterbox([], width=64, height=64, bgr=False, mean=MEAN, scale=SCALE)
    assert tensor.shape == (0, 3, 64, 64)
    assert factors.shape == (0,)


def test_an_output_of_another_shape_dtype_or_layout_is_refused() -> None:
    frame = noise("rgb", 8, 8)
    picture = _core.Picture(frame.planes, "rgb", "bt601", full_range=False)
    with pytest.raises(ValueError, match=r"out must be float32 \[1, 3, any, any\], got shape \[2, 3, 8, 8\]"):
        _core.letterbox([picture], np.zeros((2, 3, 8, 8), np.float32), bgr=False, mean=MEAN, scale=SCALE)
    with pytest.raises(TypeError, match=r"out must be float32 .* got dtype float64"):
        _core.letterbox([picture], np.zeros((1, 3, 8, 8)), bgr=False, mean=MEAN, scale=SCALE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="C-contiguous"):
        _core.letterbox([picture], np.zeros((1, 3, 8, 16), np.float32)[..., ::2], bgr=False, mean=MEAN, scale=SCALE)
    with pytest.raises(ValueError, match="3 numbers"):
        ops.letterbox([frame], width=8, height=8, bgr=False, mean=(0, 0), scale=SCALE)
    read_only = np.zeros((1, 3, 8, 8), np.float32)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        ops.letterbox([frame], width=8, height=8, bgr=False, mean=MEAN, scale=SCALE, out=read_only)


def test_planes_that_are_not_packed_within_a_row_are_refused() -> None:
    wide = np.zeros((8, 16), np.uint8)
    with pytest.raises(ValueError, match="packed pixels"):
        _core.Picture([np.zeros((8, 8, 6), np.uint8)[:, :, ::2]], "rgb", "bt601", full_range=False)
    with pytest.raises(ValueError, match="packed pixels"):
        _core.Picture([wide[:, ::2], wide[:4, :4], wide[:4, :4]], "i420", "bt601", full_range=False)


def test_pictures_that_make_no_sense_are_refused_by_name() -> None:
    plane, half = np.zeros((4, 4), np.uint8), np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="layout must be i420, nv12 or rgb, got 'bgr'"):
        _core.Picture([plane], "bgr", "bt601", full_range=False)
    with pytest.raises(ValueError, match="matrix must be bt601, bt709 or bt2020, got 'smpte'"):
        _core.Picture([plane, half, half], "i420", "smpte", full_range=False)
    with pytest.raises(ValueError, match="nv12 must have 2 planes, got 3"):
        _core.Picture([plane, half, half], "nv12", "bt601", full_range=False)
    with pytest.raises(ValueError, match=r"planes\[1\] must be uint8 \[2, 2\], got shape \[2, 3\]"):
        _core.Picture([plane, np.zeros((2, 3), np.uint8), half], "i420", "bt601", full_range=False)
    with pytest.raises(TypeError, match="uint8"):
        _core.Picture([plane.astype(np.int8)], "rgb", "bt601", full_range=False)
    with pytest.raises(ValueError, match="1 to 1048576 pixels"):
        _core.Picture([np.zeros((0, 4, 3), np.uint8)], "rgb", "bt601", full_range=False)


def test_a_picture_keeps_its_planes_alive() -> None:
    frame = noise("i420", 64, 64, seed=5)
    wanted, _ = ops.letterbox([frame], width=32, height=32, bgr=False, mean=MEAN, scale=SCALE)
    picture = _core.Picture([plane.copy() for plane in frame.planes], "i420", "bt601", full_range=False)
    churn = [np.full((64, 64), 7, np.uint8) for _ in range(100)]
    out = np.empty((1, 3, 32, 32), np.float32)
    _core.letterbox([picture], out, bgr=False, mean=MEAN, scale=SCALE)
    np.testing.assert_array_equal(out, wanted)
    assert len(churn) == 100
