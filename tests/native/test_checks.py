"""What the core is handed is refused where reading it would be undefined: a place, a number or a second thread."""

from __future__ import annotations

import threading
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from pylfr import ops
from pylfr.types import Float32

Number = TypeVar("Number", bound=np.generic)


def misaligned(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The same numbers, one byte after a place where such a number may lie."""
    room = np.zeros(array.nbytes + 16, np.uint8)
    start = 1 + (-room.ctypes.data) % 16
    view = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


def unit(rows: int) -> Float32:
    return np.eye(rows, 16, dtype=np.float32)


def test_a_misaligned_array_is_refused_with_its_name_and_the_fix() -> None:
    with pytest.raises(ValueError, match=r"probes must be float32 .* at a multiple of 4 bytes, got a misaligned view"):
        ops.search_exact(misaligned(unit(2)), unit(3), 1)
    with pytest.raises(ValueError, match=r"vectors must be .* pass a copy of it"):
        ops.normalise(misaligned(unit(2)))
    with pytest.raises(ValueError, match="misaligned view"):
        ops.search_exact(unit(2), misaligned(unit(3)), 1)
    with pytest.raises(ValueError, match=r"entry must be int64 .* multiple of 8"):
        ops.EntryNumbers(misaligned(np.arange(3, dtype=np.int64)))
    with pytest.raises(ValueError, match="misaligned view"):
        ops.Staging(ops.Stream("cpu")).send(misaligned(unit(2)))


def test_a_misaligned_array_is_no_tensor_either_and_bytes_are_not_seen_as_numbers_where_none_may_begin() -> None:
    home = ops.Stream("cpu")
    with pytest.raises(ValueError, match="float32 must begin at a multiple of 4 bytes, got a misaligned view"):
        ops.Tensor.borrow(misaligned(unit(2)), home)
    room = ops.Tensor((3, 5), "uint8", home)
    with pytest.raises(ValueError, match="int32 must begin at a multiple of 4 bytes"):
        room.rows(1, 2).reshaped((5,)).rows(0, 4).seen_as((1,), "int32")
    assert room.rows(0, 1).reshaped((5,)).rows(0, 4).seen_as((1,), "int32").shape == (1,)


def test_sizes_whose_product_overflows_are_refused_and_so_are_crops_without_end() -> None:
    none = np.zeros((1, 1, 1), np.float32)
    for anchors, width in ((2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (1025, 32)):
        with pytest.raises(ValueError, match="must be 1 to"):
            ops.decode_scrfd([none], [none], [none], [1], anchors, width, 32, 0.5)
    with pytest.raises(ValueError, match=r"k scores of each probe must be at most 2\^40 in all"):
        ops.search_exact(unit(2), unit(3), 2**62)


@pytest.mark.parametrize("shape", [(0, 2**62), (0, 2**31, 2**31), (2**15, 0, 2**62), (0, 2**63 - 1)])
def test_an_empty_tensor_whose_rows_overflow_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at most 2\\^48 numbers"):
        ops.Tensor(shape, "float32", ops.Stream("cpu"))
    assert ops.Tensor((0, 2**20), "float32", ops.Stream("cpu")).nbytes == 0


@pytest.mark.parametrize("time_ms", [2**53 + 1, -(2**53) - 1, np.iinfo(np.int64).max, np.iinfo(np.int64).min])
def test_times_that_differences_would_overflow_with_are_refused(time_ms: int) -> None:
    tracker = ops.Tracker(0.6, 0.3, 0.2, 1000, 50)
    none, boxes, scores = np.zeros(0, np.int32), np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    with pytest.raises(ValueError, match=rf"time_ms must be -2\^53 to 2\^53, got {time_ms}"):
        tracker.update(
            np.zeros(1, np.int32),
            np.array([time_ms], np.int64),
            np.zeros(1, np.uint8),
            none,
            boxes,
            scores,
            np.zeros((0, 3), np.float32),
        )


@pytest.mark.parametrize("start", [-1, 9, 2**63 - 1])
def test_rows_outside_of_an_index_are_refused_without_overflow(start: int) -> None:
    index = ops.SearchIndex(10, 16, "float32", ops.Stream("cpu"))
    with pytest.raises(ValueError, match=f"rows must lie in an index of 10, got 2 from {start}"):
        index.fill(unit(2), start)


def test_one_staging_buffer_from_two_threads_at_once_raises_and_serves_one_after_the_other() -> None:
    staging = ops.Staging(ops.Stream("cpu"), 1)
    large = np.ones(64 << 20, np.uint8)
    refused: list[str] = []
    ready = threading.Barrier(4)

    def send() -> None:
        ready.wait()
        for _ in range(8):
            try:
                staging.send(large)
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused
    assert set(refused) == {"a staging buffer is used by two threads at once: give each its own"}
    assert len(staging.send(unit(1))) == 1
