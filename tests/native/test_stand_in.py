"""What the core asks of CUDA, seen by a CPU that plays a device: errors, waits, the order of streams and threads."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pylfr import _core, ops  # noqa: TID251 - the stand-in's own functions are in the core's file
from pylfr.errors import CudaError
from pylfr.types import Float32, Frame, Precision
from tests.devices import IS_STAND_IN, ONLY_ON_THE_STAND_IN, on_device, on_host
from tests.native.pictures import noise
from tests.native.test_search_index import unit_rows
from tests.samples import NOON

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not IS_STAND_IN, reason=ONLY_ON_THE_STAND_IN),
]

INVALID_VALUE = 1
# Of a block on sm_90; most others allow 99 KB.
MOST_SHARED_BYTES = 227 * 1024
MEAN, SCALE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@pytest.fixture
def device() -> Iterator[ctypes.CDLL]:
    library = ctypes.CDLL(_core.__file__)
    library.stand_in_queued.argtypes = [ctypes.c_void_p]
    library.stand_in_queued.restype = library.stand_in_event_calls.restype = ctypes.c_int64
    library.stand_in_run.argtypes = [ctypes.c_void_p]
    yield library
    library.stand_in_reverse_threads(0)
    library.stand_in_slow_waits(0)
    library.stand_in_set_processors(3)
    library.stand_in_set_shared_bytes(MOST_SHARED_BYTES)


def allocate() -> None:
    ops.Tensor((1 << 20,), "float32", ops.Stream("cuda"), pooled=False)


def normalise() -> None:
    home = ops.Stream("cuda")
    ops.normalise_on(ops.Tensor((2, 8), "float32", home), home)


def query() -> None:
    home = ops.Stream("cuda")
    ops.Tensor((8,), "float32", home).wipe(home)
    assert not home.record().is_done


@pytest.mark.parametrize(
    ("call", "work", "is_raised"),
    [
        ("cudaMalloc", allocate, True),
        ("cudaFree", allocate, False),
        ("launch", normalise, True),
        ("cudaStreamDestroy", normalise, False),
        ("cudaDeviceSynchronize", lambda: ops.release_memory("cuda"), False),
        ("cudaStreamBeginCapture", lambda: ops.Graph(ops.Stream("cuda"), normalise), True),
    ],
)
def test_an_error_is_reported_once_and_no_later_launch_is_blamed_for_it(
    device: ctypes.CDLL, call: str, work: Callable[[], object], is_raised: bool
) -> None:
    device.stand_in_plan_failure(call.encode(), INVALID_VALUE)
    if is_raised:
        with pytest.raises(CudaError):
            work()
    else:
        work()
    assert device.stand_in_error_left() == 0
    normalise()


def test_an_event_that_is_not_done_leaves_no_error(device: ctypes.CDLL) -> None:
    query()
    assert device.stand_in_error_left() == 0


class Lent:
    """Memory of somebody else."""

    def __init__(self, tensor: ops.Tensor) -> None:
        self._tensor = tensor

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return self._tensor.__cuda_array_interface__


def test_a_decoder_waits_for_the_last_read_of_its_surface_and_for_nothing_queued_later(device: ctypes.CDLL) -> None:
    theirs, ours, reader = (ops.Stream("cuda") for _ in range(3))
    planes = ops.Tensor((8, 8), "uint8", theirs), ops.Tensor((4, 4, 2), "uint8", theirs)
    surfaces = tuple(ops.Tensor.borrow_together([Lent(plane) for plane in planes], ours))
    frame = Frame(
        camera="gate", sequence=0, captured_at=NOON, planes=(), surfaces=surfaces, layout="nv12", matrix="bt709"
    )
    staging = ops.Staging(reader)
    pictures = ops.upload([frame], staging)
    out = ops.Tensor((1, 3, 32, 32), "float32", reader)
    pictures.letterbox(out, bgr=False, mean=MEAN, scale=SCALE)
    later = [ops.Tensor((64,), "float32", reader) for _ in range(20)]
    for tensor in later:
        tensor.wipe(reader)
    del pictures, frame, surfaces
    device.stand_in_run(theirs.handle)
    assert device.stand_in_queued(reader.handle) == len(later), "the read was waited for, what came after it was not"


def test_the_planes_of_a_picture_are_ordered_by_one_event(device: ctypes.CDLL) -> None:
    """A decoder's stream serves every camera: what each picture asks of it adds up."""
    theirs, ours = ops.Stream("cuda"), ops.Stream("cuda")
    planes = ops.Tensor((8, 8), "uint8", theirs), ops.Tensor((4, 4, 2), "uint8", theirs)
    before = device.stand_in_event_calls()
    surfaces = ops.Tensor.borrow_together([Lent(plane) for plane in planes], ours)
    assert device.stand_in_event_calls() - before == 3  # made, recorded there, waited for here
    del surfaces[0]
    assert device.stand_in_event_calls() - before == 3, "the other plane is still read"
    surfaces.clear()
    assert device.stand_in_event_calls() - before == 6  # recorded here, waited for there, destroyed


def test_arrays_of_several_streams_are_not_borrowed_together() -> None:
    lent = [Lent(ops.Tensor((8,), "uint8", ops.Stream("cuda"))) for _ in range(2)]
    with pytest.raises(ValueError, match="must be of one stream: borrow them one by one"):
        ops.Tensor.borrow_together(lent, ops.Stream("cuda"))


@pytest.mark.parametrize("index", [False, True])
def test_python_goes_on_while_an_object_that_waits_is_ended(device: ctypes.CDLL, index: bool) -> None:
    home = ops.Stream("cuda")
    tensor = ops.Tensor((1024,), "float32", home)
    tensor.wipe(home)
    held: list[object] = [ops.SearchIndex(10, 64, "int8", home) if index else ops.Readback(tensor, home)]
    turns, is_over = [0], threading.Event()

    def count() -> None:
        while not is_over.is_set():
            turns[0] += 1
            time.sleep(0.001)

    counting = threading.Thread(target=count)
    counting.start()
    while turns[0] == 0:
        time.sleep(0.001)
    device.stand_in_slow_waits(2000)
    before = turns[0]
    held.clear()
    during = turns[0] - before
    is_over.set()
    counting.join()
    assert during > 10


@pytest.mark.parametrize("precision", ["int8", "float16"])
@pytest.mark.parametrize("probes", [1, 3, 8, 41])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_scan_does_not_depend_on_the_order_in_which_threads_run(
    device: ctypes.CDLL, precision: Precision, probes: int, is_reversed: bool
) -> None:
    home = ops.Stream("cuda")
    rows, sought = unit_rows(700, 512, 1), unit_rows(probes, 512, 2)
    index = ops.SearchIndex(len(rows), 512, precision, home)
    index.fill(rows, 0)
    device.stand_in_reverse_threads(int(is_reversed))
    found = on_host(index.search(on_device(sought, home), 20, home), home)
    wanted, _ = ops.search_exact(sought, rows, 5)
    scores: Float32 = -np.sort(-found[:, :20], axis=1)[:, :5]
    assert scores.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("precision", "probes", "references", "kept"),
    [
        ("int8", 6, 6000, 64),
        *(("int8", probes, references, kept) for probes in (1, 9, 41) for references, kept in ((100, 64), (300, 128))),
        ("float16", 1, 300, 128),
        *(("float16", probes, references, kept) for probes in (9, 41) for references, kept in ((100, 64), (300, 128))),
    ],
)
def test_as_many_candidates_as_asked_for_come_from_a_device_with_many_multiprocessors(
    device: ctypes.CDLL, precision: Precision, probes: int, references: int, kept: int
) -> None:
    """Each of many blocks then sees few rows, and their lists are merged in two steps."""
    device.stand_in_set_processors(132)
    home = ops.Stream("cuda")
    rows, sought = unit_rows(references, 512, 2), unit_rows(probes, 512, 1)
    index = ops.SearchIndex(references, 512, precision, home)
    index.fill(rows, 0)
    found = on_host(index.search(on_device(sought, home), kept, home), home)
    places = np.ascontiguousarray(found[:, kept : 2 * kept]).view(np.int32)
    assert [len(set(each[each >= 0].tolist())) for each in places] == [min(kept, references)] * probes
    wanted, _ = ops.search_exact(sought, rows, 5)
    scores: Float32 = -np.sort(-found[:, :kept], axis=1)[:, :5]
    assert scores.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("precision", ["int8", "float16"])
def test_a_device_with_less_shared_memory_takes_fewer_probes_at_once(device: ctypes.CDLL, precision: Precision) -> None:
    device.stand_in_set_shared_bytes(99 * 1024)
    home = ops.Stream("cuda")
    rows, sought = unit_rows(200, 1024, 2), unit_rows(40, 1024, 1)
    index = ops.SearchIndex(len(rows), 1024, precision, home)
    index.fill(rows, 0)
    found = on_host(index.search(on_device(sought, home), 64, home), home)
    wanted, _ = ops.search_exact(sought, rows, 5)
    scores: Float32 = -np.sort(-found[:, :64], axis=1)[:, :5]
    assert scores.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_letterbox_does_not_depend_on_the_order_in_which_threads_run(device: ctypes.CDLL, is_reversed: bool) -> None:
    home = ops.Stream("cuda")
    frames = [noise("nv12", 211, 97), noise("i420", 64, 200, seed=1)]
    wanted, _ = ops.letterbox(frames, width=160, height=96, bgr=False, mean=MEAN, scale=SCALE)
    device.stand_in_reverse_threads(int(is_reversed))
    out = ops.Tensor((2, 3, 96, 160), "float32", home)
    ops.upload(frames, ops.Staging(home)).letterbox(out, bgr=False, mean=MEAN, scale=SCALE)
    assert on_host(out, home).tobytes() == wanted.tobytes()
