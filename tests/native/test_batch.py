"""The device's schedule of every stage gives what the host's gives; on the CPU and, where there is one, on CUDA."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Device, Faces, Float32, Frame, Layout
from tests.devices import DEVICES, on_device, on_host
from tests.native.pictures import AWKWARD_SIZES, LAYOUTS, noise
from tests.samples import faces_at

MEAN, SCALE = (104.0, 117.0, 123.0), (1.0, 0.5, 0.0078125)
STRIDES = (8, 16, 32)
WIDTH, HEIGHT = 96, 64
# atan2f is the one function of a measure that CUDA rounds in its own way: yaw, pitch and roll, degrees.
ANGLES, ANGLE_TOLERANCE = slice(2, 5), 1e-3


@pytest.fixture(params=DEVICES)
def home(request: pytest.FixtureRequest) -> ops.Stream:
    device: Device = request.param
    return ops.Stream(device)


class PaddedPlane:
    """A plane in memory of the device whose rows are further apart than they are long."""

    def __init__(self, tensor: ops.Tensor, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self._tensor = tensor
        self._shape, self._strides = shape, strides

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {**self._tensor.__cuda_array_interface__, "shape": self._shape, "strides": self._strides}


def surfaces_of(frame: Frame, home: ops.Stream) -> Frame:
    """The frame with its planes on the device, rows padded there as a decoder pads them."""
    surfaces = []
    for plane in frame.planes:
        rows, row_bytes = plane.shape[0], int(np.prod(plane.shape[1:]))
        pitch = row_bytes + 13
        padded = np.full((rows, pitch), 77, np.uint8)
        padded[:, :row_bytes] = plane.reshape(rows, row_bytes)
        if home.device == "cpu":
            strides = (pitch, *plane[0].strides) if plane.ndim > 1 else (pitch,)
            view = np.lib.stride_tricks.as_strided(padded, plane.shape, strides, writeable=False)
            surfaces.append(ops.Tensor.borrow(view, home))
        else:
            there = ops.Tensor(padded.shape, "uint8", home)
            there.copy_from(padded, home)
            strides = (pitch, plane.shape[2], 1) if plane.ndim == 3 else (pitch, 1)
            surfaces.append(ops.Tensor.borrow(PaddedPlane(there, plane.shape, strides), home))
    return replace(frame, planes=(), surfaces=tuple(surfaces))


def mixed_frames() -> list[Frame]:
    return [
        noise(layout, width, height, seed=seed, matrix="bt709", padding=3)
        for layout in LAYOUTS
        for seed, (width, height) in enumerate(AWKWARD_SIZES)
    ]


@pytest.mark.parametrize(("width", "height"), [(32, 32), (65, 40), (320, 192)])
def test_a_batch_of_all_layouts_and_sizes_is_fitted_in_to_the_same_bits(
    home: ops.Stream, width: int, height: int
) -> None:
    frames = mixed_frames()
    wanted, factors = ops.letterbox(frames, width=width, height=height, bgr=True, mean=MEAN, scale=SCALE)
    pictures = ops.upload(frames, ops.Staging(home))
    out = ops.Tensor((len(frames), 3, height, width), "float32", home)
    got = pictures.letterbox(out, bgr=True, mean=MEAN, scale=SCALE)
    assert got.tobytes() == factors.tobytes()
    assert on_host(out, home).tobytes() == wanted.tobytes()


@pytest.mark.parametrize(("width", "height"), [(32, 32), (65, 40), (320, 192)])
def test_a_batch_is_written_as_halves_channels_last_to_the_bits_of_rounding(
    home: ops.Stream, width: int, height: int
) -> None:
    frames = mixed_frames()
    wanted, _ = ops.letterbox(frames, width=width, height=height, bgr=True, mean=MEAN, scale=SCALE)
    out = ops.Tensor((len(frames), height, width, 3), "float16", home)
    ops.upload(frames, ops.Staging(home)).letterbox(out, bgr=True, mean=MEAN, scale=SCALE)
    got = np.empty(out.shape, np.float16)
    out.copy_to(got, home)
    assert got.tobytes() == np.ascontiguousarray(wanted.transpose(0, 2, 3, 1)).astype(np.float16).tobytes()
    with pytest.raises(ValueError, match=r"out must be float16 \[\d+, any, any, 3\]"):
        ops.upload(frames, ops.Staging(home)).letterbox(
            ops.Tensor((len(frames), 3, height, width), "float16", home), bgr=True, mean=MEAN, scale=SCALE
        )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_planes_that_lie_on_the_device_are_read_there(home: ops.Stream, layout: Layout) -> None:
    host = [noise(layout, 101, 77, seed=1), noise(layout, 64, 48, seed=2)]
    mixed = [surfaces_of(host[0], home), host[1]]
    wanted, _ = ops.letterbox(host, width=96, height=64, bgr=False, mean=MEAN, scale=SCALE)
    out = ops.Tensor((2, 3, 64, 96), "float32", home)
    ops.upload(mixed, ops.Staging(home)).letterbox(out, bgr=False, mean=MEAN, scale=SCALE)
    assert on_host(out, home).tobytes() == wanted.tobytes()
    to_frame = np.array([[2.5, 0.3, -20], [-0.3, 2.5, 8]], np.float32)
    crop = ops.crop_rgb(mixed[0], to_frame, width=40, height=30)
    np.testing.assert_array_equal(crop, ops.crop_rgb(host[0], to_frame, width=40, height=30))


def test_all_faces_of_a_batch_are_aligned_to_the_same_bits(home: ops.Stream) -> None:
    frames = [noise("nv12", 333, 210, seed=1), noise("i420", 64, 48, seed=2), noise("rgb", 200, 100, seed=3)]
    draw = np.random.default_rng(0)
    index = draw.integers(0, 3, 37).astype(np.int32)
    maps = np.stack([[[s, t, x], [-t, s, y]] for s, t, x, y in draw.uniform(-2, 60, (37, 4))]).astype(np.float32)
    wanted = ops.warp(frames, index, maps, side_px=70, bgr=True, mean=MEAN, scale=SCALE)
    staging = ops.Staging(home)
    pictures = ops.upload(frames, staging)
    out = ops.Tensor(wanted.shape, "float32", home)
    pictures.warp(staging, index, maps, out, bgr=True, mean=MEAN, scale=SCALE)
    assert on_host(out, home).tobytes() == wanted.tobytes()
    nobody = ops.Tensor((0, 3, 70, 70), "float32", home)
    pictures.warp(staging, index[:0], maps[:0], nobody, bgr=True, mean=MEAN, scale=SCALE)


def assert_measures_agree(got: Float32, wanted: Float32, device: Device) -> None:
    if device == "cpu":
        assert got.tobytes() == wanted.tobytes()
        return
    np.testing.assert_allclose(got[:, ANGLES], wanted[:, ANGLES], atol=ANGLE_TOLERANCE)
    exact = [0, 1, 5, 6]
    assert np.ascontiguousarray(got[:, exact]).tobytes() == np.ascontiguousarray(wanted[:, exact]).tobytes()


def test_scenes_of_all_pictures_are_measured_alike(home: ops.Stream) -> None:
    frames = [noise("nv12", 333, 210, seed=1), noise("rgb", 200, 100, seed=2), noise("i420", 33, 17, seed=3)]
    out = ops.Tensor((3, 18, 32), "float32", home)
    ops.upload(frames, ops.Staging(home)).measure_scenes(out)
    assert on_host(out, home).tobytes() == ops.measure_scenes(frames).tobytes()


def test_quality_of_all_faces_is_measured_alike(home: ops.Stream) -> None:
    frames = [noise("nv12", 333, 210, seed=1), noise("rgb", 200, 100, seed=3)]
    draw = np.random.default_rng(0)
    faces = faces_at([[x, y, x + s, y + 1.3 * s] for x, y, s in draw.uniform(5, 90, (23, 3))])
    index = draw.integers(0, 2, 23).astype(np.int32)
    faces = replace(faces, frame_index=index)
    staging = ops.Staging(home)
    out = ops.Tensor((23, 7), "float32", home)
    ops.upload(frames, staging).measure_quality(staging, index, faces.landmarks, out)
    assert_measures_agree(on_host(out, home), ops.measure_quality(frames, faces), home.device)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outputs:
    """Random outputs of a head for a batch."""

    head: str
    cls: list[Float32]
    obj: list[Float32]
    boxes: list[Float32]
    kps: list[Float32]
    anchors: int


def outputs_of(head: str, batch: int, *, seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Outputs:
    draw = np.random.default_rng(seed)
    anchors = 2 if head == "scrfd" else 1

    def levels(numbers: int, low: float, high: float) -> list[Float32]:
        return [
            draw.uniform(low, high, (batch, (width // s) * (height // s) * anchors, numbers)).astype(np.float32)
            for s in STRIDES
        ]

    return Outputs(
        head=head,
        cls=levels(1, 0, 1),
        obj=levels(1, 0, 1) if head == "yunet" else [],
        boxes=levels(4, -0.5, 2) if head == "yunet" else levels(4, -0.5, 3),
        kps=levels(10, -1, 2),
        anchors=anchors,
    )


def host_faces(given: Outputs, frames: list[Frame], floor: float, iou: float) -> Faces:
    """What ``FaceDetector`` makes of these outputs."""
    _, factors = ops.letterbox(frames, width=WIDTH, height=HEIGHT, bgr=False, mean=MEAN, scale=SCALE)
    if given.head == "yunet":
        index, boxes, scores, landmarks = ops.decode_yunet(
            given.cls, given.obj, given.boxes, given.kps, STRIDES, WIDTH, HEIGHT, floor
        )
    else:
        index, boxes, scores, landmarks = ops.decode_scrfd(
            given.cls, given.boxes, given.kps, STRIDES, given.anchors, WIDTH, HEIGHT, floor
        )
    kept = ops.nms(index, boxes, scores, iou)
    index, per_face = index[kept], factors[index[kept]]
    sizes = np.array([(frame.width, frame.height) for frame in frames], np.float32)[index]
    boxes = np.clip(boxes[kept] / per_face[:, None], 0, np.tile(sizes, 2), dtype=np.float32)
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return Faces(
        frame_index=index,
        boxes=boxes,
        scores=scores[kept],
        landmarks=landmarks[kept] / per_face[:, None, None],
    ).select(inside)


def device_faces(
    given: Outputs, frames: list[Frame], floor: float, iou: float, home: ops.Stream, *, most: int
) -> tuple[Faces, list[list[int]]]:
    pictures = ops.upload(frames, ops.Staging(home))
    found = ops.Tensor((len(frames), most, ops.FOUND_NUMBERS), "float32", home)
    counts = ops.Tensor((len(frames), 2), "int32", home)
    cls, obj, boxes, kps = (
        [on_device(level, home) for level in kind] for kind in (given.cls, given.obj, given.boxes, given.kps)
    )
    pictures.find_faces(
        given.head, cls, obj, boxes, kps, STRIDES, given.anchors, WIDTH, HEIGHT, floor, iou, found, counts
    )
    numbers = np.empty((len(frames), 2), np.int32)
    counts.copy_to(numbers, home)
    values = on_host(found, home)
    rows = [values[b, : min(count, most)] for b, count in enumerate(numbers[:, 0])]
    every = np.concatenate([*rows, np.empty((0, ops.FOUND_NUMBERS), np.float32)])
    faces = Faces(
        frame_index=np.repeat(np.arange(len(frames), dtype=np.int32), [len(row) for row in rows]),
        boxes=np.ascontiguousarray(every[:, :4]),
        scores=np.ascontiguousarray(every[:, 4]),
        landmarks=np.ascontiguousarray(every[:, 5:15]).reshape(-1, 5, 2),
        measures=np.ascontiguousarray(every[:, 15:]),
    )
    return faces, numbers.tolist()


@pytest.mark.parametrize("head", ["yunet", "scrfd"])
@pytest.mark.parametrize("floor", [0.2, 0.6, 1.1])
@pytest.mark.parametrize("batch", [1, 5])
def test_faces_found_on_the_device_are_those_of_the_host(home: ops.Stream, head: str, floor: float, batch: int) -> None:
    frames = [noise("nv12", 150 + 31 * b, 90, seed=b) for b in range(batch)]
    given = outputs_of(head, batch)
    wanted = host_faces(given, frames, floor, 0.4)
    got, counts = device_faces(given, frames, floor, 0.4, home, most=300)
    assert (len(wanted) == 0) == (floor > 1)
    assert [count for count, _ in counts] == np.bincount(wanted.frame_index, minlength=batch).tolist()
    assert got.frame_index.tolist() == wanted.frame_index.tolist()
    if home.device == "cpu" or head == "scrfd":
        for name in ("boxes", "scores", "landmarks"):
            assert getattr(got, name).tobytes() == getattr(wanted, name).tobytes(), name
    else:  # the size of a YuNet box goes through expf, which CUDA rounds in its own way
        np.testing.assert_array_equal(got.scores, wanted.scores)
        np.testing.assert_allclose(got.boxes, wanted.boxes, rtol=1e-5, atol=1e-3)
        np.testing.assert_array_equal(got.landmarks, wanted.landmarks)
    assert got.measures is not None
    assert_measures_agree(got.measures, ops.measure_quality(frames, got), home.device)


def test_equal_scores_keep_their_order_and_what_is_no_number_is_no_face(home: ops.Stream) -> None:
    frames = [noise("rgb", 96, 64)]
    given = outputs_of("scrfd", 1)
    for level in given.cls:
        level[:] = np.round(level * 4) / 4
    given.cls[0][0, 3] = np.nan
    given.boxes[1][0, ::5] = np.inf
    given.kps[2][0, ::2] = np.nan
    wanted = host_faces(given, frames, 0.3, 0.3)
    got, _ = device_faces(given, frames, 0.3, 0.3, home, most=400)
    assert got.boxes.tobytes() == wanted.boxes.tobytes()
    assert got.scores.tobytes() == wanted.scores.tobytes()


def test_where_there_is_no_room_the_best_are_written_and_all_are_counted(home: ops.Stream) -> None:
    frames = [noise("rgb", 96, 64), noise("rgb", 96, 64, seed=1)]
    given = outputs_of("scrfd", 2)
    wanted = host_faces(given, frames, 0.3, 0.4)
    got, counts = device_faces(given, frames, 0.3, 0.4, home, most=7)
    assert [count for count, _ in counts] == np.bincount(wanted.frame_index).tolist()
    of_second = wanted.select(wanted.frame_index == 1)
    assert got.boxes[7:].tobytes() == of_second.boxes[:7].tobytes()


def test_of_very_many_candidates_the_best_two_thousand_are_looked_at() -> None:
    # On the CPU alone: the schedule is the same, and a picture of noise this large takes a while.
    home = ops.Stream("cpu")
    width = height = 384
    draw = np.random.default_rng(0)
    scores = [draw.uniform(0.3, 1, (1, (width // s) ** 2 * 2, 1)).astype(np.float32) for s in STRIDES]
    apart = [np.full((1, level.shape[1], 4), 0.01, np.float32) for level in scores]
    kps = [np.zeros((1, level.shape[1], 10), np.float32) for level in scores]
    assert sum(level.shape[1] for level in scores) > 4096
    found = ops.Tensor((1, 4096, ops.FOUND_NUMBERS), "float32", home)
    counts = ops.Tensor((1, 2), "int32", home)
    pictures = ops.upload([noise("rgb", width, height)], ops.Staging(home))
    cls, boxes, points = ([on_device(level, home) for level in kind] for kind in (scores, apart, kps))
    pictures.find_faces("scrfd", cls, [], boxes, points, STRIDES, 2, width, height, 0.3, 0.9, found, counts)
    faces, candidates = np.from_dlpack(counts)[0]
    every = np.sort(np.concatenate([level.ravel() for level in scores]))[::-1]
    got = np.from_dlpack(found)[0, :faces, 4]
    assert candidates == len(every)
    assert got[0] == every[0]
    assert got[-1] >= every[2047]
    assert (np.diff(got) <= 0).all()


@pytest.mark.parametrize("dimension", [5, 128, 512])
def test_templates_are_normalised_where_they_lie_to_the_same_bits(home: ops.Stream, dimension: int) -> None:
    rows = np.random.default_rng(0).standard_normal((9, dimension)).astype(np.float32)
    rows[4] = 0
    there = on_device(rows, home)
    ops.normalise_on(there, home)
    ops.normalise(rows)
    assert on_host(there, home).tobytes() == rows.tobytes()


def test_staging_never_writes_over_what_is_still_on_its_way(home: ops.Stream) -> None:
    staging = ops.Staging(home)
    draw = np.random.default_rng(0)
    sent = []
    for turn in range(30):
        values = draw.standard_normal((1 + turn * 977 % 5000, 17)).astype(np.float32)
        array = values.copy()
        sent.append((values, staging.send(array)))
        array[:] = -1
    for values, there in sent:
        assert on_host(there, home).tobytes() == values.tobytes()


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_pictures_are_packed_to_the_same_bits_by_any_number_of_threads(home: ops.Stream, threads: int) -> None:
    """Of all layouts, padded and odd; together some megabytes, so that every thread has its part."""
    frames = [*mixed_frames(), noise("nv12", 1921, 1081, padding=7), noise("rgb", 1001, 333), noise("i420", 1280, 720)]
    alone, team = ops.Staging(home, threads=1), ops.Staging(home, threads=threads)
    for batch in (frames, frames[-3:], frames[:1], frames):
        fitted = []
        for staging in (alone, team):
            tensor = ops.Tensor((len(batch), 3, 64, 96), "float32", home)
            ops.upload(batch, staging).letterbox(tensor, bgr=False, mean=MEAN, scale=SCALE)
            fitted.append(on_host(tensor, home).tobytes())
        assert fitted[0] == fitted[1]


def test_threads_that_pack_end_with_their_staging_and_two_stagings_do_not_meet(home: ops.Stream) -> None:
    def native_threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    def back_to(count: int) -> bool:
        """A thread that was joined stands in /proc for a moment longer, until the kernel has buried it."""
        deadline = time.monotonic() + 30.0
        while native_threads() > count and time.monotonic() < deadline:
            time.sleep(0.01)
        return native_threads() <= count

    before = native_threads()
    frames = [noise("nv12", 1920, 1080, seed=seed) for seed in range(2)]
    ops.Staging(home, threads=4)
    assert native_threads() <= before, "none starts before there is something to pack"
    tensors = [ops.Tensor((2, 3, 64, 96), "float32", home) for _ in range(2)]

    def pack(tensor: ops.Tensor) -> None:
        staging = ops.Staging(home, threads=3)
        for _ in range(20):
            ops.upload(frames, staging).letterbox(tensor, bgr=False, mean=MEAN, scale=SCALE)

    workers = [threading.Thread(target=pack, args=(tensor,)) for tensor in tensors]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert on_host(tensors[0], home).tobytes() == on_host(tensors[1], home).tobytes()
    assert back_to(before)
    for wrong in (-1, 65):
        with pytest.raises(ValueError, match=f"threads must be 0 to 64, got {wrong}"):
            ops.Staging(home, threads=wrong)


def test_nothing_at_all_is_uploaded_and_refusals_name_what_is_wrong(home: ops.Stream) -> None:
    staging = ops.Staging(home)
    assert len(ops.upload([], staging)) == 0
    pictures = ops.upload([noise("rgb", 8, 8)], staging)
    with pytest.raises(ValueError, match=r"out must be float32 \[1, 3, any, any\], got shape \[2, 3, 8, 8\]"):
        pictures.letterbox(ops.Tensor((2, 3, 8, 8), "float32", home), bgr=False, mean=MEAN, scale=SCALE)
    with pytest.raises(TypeError, match=r"out must be float32 \[1, 3, any, any\], got dtype uint8"):
        pictures.letterbox(ops.Tensor((1, 3, 8, 8), "uint8", home), bgr=False, mean=MEAN, scale=SCALE)
    with pytest.raises(ValueError, match="picture_index must name one of 1 pictures, got 1 in row 0"):
        pictures.warp(
            staging,
            np.ones(1, np.int32),
            np.zeros((1, 2, 3), np.float32),
            ops.Tensor((1, 3, 4, 4), "float32", home),
            bgr=False,
            mean=MEAN,
            scale=SCALE,
        )
    found, counts = ops.Tensor((1, 4, ops.FOUND_NUMBERS), "float32", home), ops.Tensor((1, 2), "int32", home)
    with pytest.raises(ValueError, match="head must be yunet or scrfd, got 'retina'"):
        pictures.find_faces("retina", [], [], [], [], STRIDES, 1, 96, 64, 0.5, 0.4, found, counts)
    with pytest.raises(ValueError, match="one tensor for each of 3 strides"):
        pictures.find_faces("scrfd", [], [], [], [], STRIDES, 1, 96, 64, 0.5, 0.4, found, counts)
