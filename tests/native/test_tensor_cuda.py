"""Tensors, streams and memory on CUDA itself: what no CPU can show."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Element, Float32, Frame
from tests.devices import IS_STAND_IN
from tests.native.test_tensor import ELEMENTS
from tests.samples import NOON

pytestmark = pytest.mark.cuda

# float32 numbers, 1 GB: a GPU takes a quarter of a millisecond to wipe them.
LARGE = 1 << 16 if IS_STAND_IN else 1 << 28


@pytest.mark.parametrize("dtype", ELEMENTS)
@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (1 << 21,)])
def test_values_go_there_and_come_back(dtype: Element, shape: tuple[int, ...]) -> None:
    home = ops.Stream("cuda")
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    tensor = ops.Tensor(shape, dtype, home)
    assert tensor.device == "cuda"
    assert tensor.__dlpack_device__()[0] == 2
    tensor.copy_from(values, home)
    back = np.empty_like(values)
    tensor.copy_to(back, home)
    np.testing.assert_array_equal(back, values)
    tensor.wipe(home)
    tensor.copy_to(back, home)
    assert not back.any()


def test_another_stream_sees_what_came_before_the_event_it_waited_for() -> None:
    first, second = ops.Stream("cuda"), ops.Stream("cuda")
    assert first.handle != second.handle != 0
    large = ops.Tensor((LARGE // 4,), "float32", first)
    for value in range(5):
        large.copy_from(np.full(LARGE // 4, value, np.float32), first)
        event = first.record(timed=True)
        second.wait(event)
        back = np.empty(4, np.float32)
        large.rows((LARGE // 4) - 4, LARGE // 4).copy_to(back, second)
        assert event.is_done
        assert (back == value).all()


def test_events_measure_time_and_are_not_done_at_once() -> None:
    home = ops.Stream("cuda")
    tensor = ops.Tensor((LARGE,), "float32", home)
    began = home.record(timed=True)
    for _ in range(20):
        tensor.wipe(home)
    ended = home.record(timed=True)
    ended.synchronise()
    assert ended.is_done
    assert ended.ms_since(began) > (0 if IS_STAND_IN else 0.1)


def test_device_memory_stops_growing_and_is_given_back() -> None:
    home = ops.Stream("cuda")
    ops.release_memory("cuda")
    before = ops.memory_counts("cuda").held_bytes
    for _ in range(3):
        ops.Tensor((1 << 20,), "float32", home)
    counts = ops.memory_counts("cuda")
    assert counts.held_bytes == before + (1 << 22)
    ops.release_memory("cuda")
    assert ops.memory_counts("cuda").held_bytes == before


def test_arrays_and_streams_of_the_host_are_refused_on_the_device() -> None:
    home, host = ops.Stream("cuda"), ops.Stream("cpu")
    with pytest.raises(ValueError, match="an array on cpu needs a stream of that device, got one of cuda"):
        ops.Tensor.borrow(np.zeros(3, np.float32), home)
    tensor = ops.Tensor((3,), "float32", home)
    with pytest.raises(ValueError, match="the stream must be one of cuda, got one of cpu"):
        tensor.wipe(host)
    with pytest.raises(ValueError, match="events of its own device only"):
        home.wait(host.record())


def test_every_launch_is_counted() -> None:
    home = ops.Stream("cuda")
    before = ops.cuda_launches()
    ops.normalise_on(ops.Tensor((4, 8), "float32", home), home)
    assert ops.cuda_launches() == before + 1


class Lent:
    """Memory of somebody else, who writes to it on a stream of their own."""

    def __init__(self, tensor: ops.Tensor) -> None:
        self._tensor = tensor

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return self._tensor.__cuda_array_interface__


def test_whoever_lent_memory_writes_to_it_after_the_last_reader() -> None:
    theirs, ours, reading = (ops.Stream("cuda") for _ in range(3))
    luma, colour = ops.Tensor((1080, 1920), "uint8", theirs), ops.Tensor((540, 960, 2), "uint8", theirs)
    out = ops.Tensor((1, 3, 384, 640), "float32", reading)
    staging = ops.Staging(reading)

    def read(times: int) -> None:
        surfaces = tuple(ops.Tensor.borrow_together([Lent(luma), Lent(colour)], ours))
        frame = Frame(
            camera="gate", sequence=0, captured_at=NOON, planes=(), surfaces=surfaces, layout="nv12", matrix="bt709"
        )
        pictures = ops.upload([frame], staging)
        for _ in range(times):
            pictures.letterbox(out, bgr=False, mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))

    def seen() -> Float32:
        values = np.empty(out.shape, np.float32)
        out.copy_to(values, reading)
        return values

    noise = np.random.default_rng(0)
    for plane in (luma, colour):
        plane.copy_from(noise.integers(0, 256, plane.shape, dtype=np.uint8), theirs)
    read(1)
    wanted = seen()
    read(500)  # queued, and let go while the device still works
    luma.wipe(theirs)
    colour.wipe(theirs)
    assert np.array_equal(seen(), wanted)
    read(1)
    assert not np.array_equal(seen(), wanted)


def test_only_the_copy_is_waited_for_and_not_what_was_queued_later() -> None:
    home = ops.Stream("cuda")
    tensor = ops.Tensor((1024,), "float32", home)
    tensor.copy_from(np.full(1024, 7, np.float32), home)
    arrival = ops.Readback(tensor, home)
    large = ops.Tensor((LARGE,), "float32", home)
    for _ in range(50):
        large.wipe(home)
    later = home.record()
    got = np.empty(1024, np.float32)
    arrival.into(got)
    assert not later.is_done, "50 GB are not wiped in the time of one small copy"
    assert (got == 7).all()


def test_pictures_are_read_on_other_streams_after_their_upload_and_before_they_are_replaced() -> None:
    uploads, reader = ops.Stream("cuda"), ops.Stream("cuda")
    staging = ops.Staging(uploads)
    busy = ops.Tensor((LARGE,), "float32", reader)
    tensors, wanted = [], []
    for number in range(8):
        planes = (np.full((1080, 1920, 3), 10 * number, np.uint8),)
        frame = Frame(camera="a", sequence=number, captured_at=NOON, planes=planes, layout="rgb")
        pictures = ops.upload([frame], staging)
        busy.wipe(reader)
        tensor = ops.Tensor((1, 3, 64, 64), "float32", reader)
        pictures.letterbox(tensor, bgr=False, mean=(0, 0, 0), scale=(1, 1, 1))
        del pictures
        tensors.append(tensor)
        wanted.append(10 * number)
    for tensor, value in zip(tensors, wanted, strict=True):
        got = np.empty(tensor.shape, np.float32)
        tensor.copy_to(got, reader)
        assert got[0, :, :30].min() == got.max() == value


def test_what_is_sent_along_must_go_the_way_of_the_stream_that_reads_it() -> None:
    uploads, reader = ops.Stream("cuda"), ops.Stream("cuda")
    staging = ops.Staging(uploads)
    frame = Frame(camera="a", sequence=0, captured_at=NOON, planes=(np.zeros((8, 8, 3), np.uint8),), layout="rgb")
    pictures = ops.upload([frame], staging)
    measures = ops.Tensor((1, 7), "float32", reader)
    with pytest.raises(ValueError, match="staging must be of the stream of out"):
        pictures.measure_quality(staging, np.zeros(1, np.int32), np.zeros((1, 5, 2), np.float32), measures)
