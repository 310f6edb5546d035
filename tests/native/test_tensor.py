"""Tensors on the CPU: the same class, pool and protocols that CUDA uses, less the device."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import numpy.typing as npt
import pytest

from pylfr import ops
from pylfr.errors import CudaError
from pylfr.types import Element

HOME = ops.Stream("cpu")
ELEMENTS: tuple[Element, ...] = ("float32", "float16", "int8", "uint8", "int32", "int64")


class Kept:
    """An array that exports itself by the DLPack of before version 1.0, and can be watched for being let go."""

    def __init__(self, array: npt.NDArray[np.int64]) -> None:
        self.array = array

    def __dlpack__(self) -> object:
        return self.array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


class OnAnotherDevice:
    """Says that it lies on a CUDA device."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **asked: object) -> object:
        raise AssertionError("it must not be asked for its memory")


@pytest.mark.parametrize("dtype", ELEMENTS)
def test_a_tensor_says_what_it_is_and_round_trips_with_numpy_without_a_copy(dtype: Element) -> None:
    tensor = ops.Tensor((2, 3, 4), dtype, HOME)
    assert (tensor.shape, tensor.dtype, tensor.device, len(tensor)) == ((2, 3, 4), dtype, "cpu", 2)
    assert tensor.nbytes == 24 * np.dtype(dtype).itemsize
    array = np.from_dlpack(tensor)
    assert array.dtype == dtype
    assert array.ctypes.data == tensor.pointer
    array[:] = np.arange(24).reshape(2, 3, 4).astype(dtype)
    back = ops.Tensor.borrow(array, HOME)
    assert (back.pointer, back.shape, back.dtype) == (tensor.pointer, tensor.shape, dtype)
    copied = np.empty((2, 3, 4), dtype)
    back.copy_to(copied, HOME)
    np.testing.assert_array_equal(copied, array)


@pytest.mark.parametrize("shape", [(0,), (0, 5), (1,), ()])
def test_tensors_of_nothing_and_of_one_number_are_tensors(shape: tuple[int, ...]) -> None:
    tensor = ops.Tensor(shape, "float32", HOME)
    values = np.full(shape, 3, np.float32)
    tensor.copy_from(values, HOME)
    np.testing.assert_array_equal(np.from_dlpack(tensor), values)


def test_memory_lives_for_as_long_as_anybody_looks_at_it() -> None:
    tensor = ops.Tensor((1000,), "int32", HOME)
    tensor.copy_from(np.arange(1000, dtype=np.int32), HOME)
    array, row = np.from_dlpack(tensor), tensor.rows(7, 9)
    del tensor
    gc.collect()
    ops.Tensor((1000,), "int32", HOME).wipe(HOME)
    assert array[999] == 999
    assert np.from_dlpack(row).tolist() == [7, 8]


def test_a_borrowed_array_is_kept_alive_and_then_let_go() -> None:
    array = np.arange(6, dtype=np.int64)
    watch = weakref.ref(array)
    tensor = ops.Tensor.borrow(Kept(array), HOME)
    del array
    gc.collect()
    assert watch() is not None
    assert np.from_dlpack(tensor).tolist() == [0, 1, 2, 3, 4, 5]
    del tensor
    gc.collect()
    assert watch() is None


def test_a_read_only_array_stays_read_only() -> None:
    array = np.zeros(3, np.float32)
    array.flags.writeable = False
    tensor = ops.Tensor.borrow(array, HOME)
    assert tensor.is_read_only
    assert not np.from_dlpack(tensor).flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        tensor.copy_from(np.ones(3, np.float32), HOME)
    with pytest.raises(ValueError, match="read-only"):
        tensor.wipe(HOME)
    with pytest.raises(BufferError, match="leaves by DLPack 1"):
        tensor.__dlpack__()


def test_padded_rows_are_borrowed_as_they_are_and_other_strides_are_refused() -> None:
    whole = np.arange(40, dtype=np.uint8).reshape(4, 10)
    padded = ops.Tensor.borrow(whole[:, :7], HOME)
    assert (padded.shape, padded.row_bytes) == ((4, 7), 10)
    np.testing.assert_array_equal(np.from_dlpack(padded), whole[:, :7])
    np.testing.assert_array_equal(np.from_dlpack(padded.rows(2, 4)), whole[2:, :7])
    with pytest.raises(ValueError, match="padded rows"):
        padded.copy_to(np.empty((4, 7), np.uint8), HOME)
    with pytest.raises(ValueError, match="cannot be seen as"):
        padded.reshaped((28,))
    for strided in (whole[:, ::2], whole.T, whole[::-1]):
        with pytest.raises(ValueError, match="row-major"):
            ops.Tensor.borrow(strided, HOME)


def test_what_is_no_array_of_ours_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="__dlpack__ or __cuda_array_interface__, got list"):
        ops.Tensor.borrow([1, 2], HOME)
    with pytest.raises(TypeError, match="DLPack type 2 of 64 bits"):
        ops.Tensor.borrow(np.zeros(2), HOME)
    with pytest.raises(ValueError, match="an array on cuda needs a stream of that device, got one of cpu"):
        ops.Tensor.borrow(OnAnotherDevice(), HOME)
    with pytest.raises(ValueError, match=r"dtype must be float32, .* got 'float64'"):
        ops.Tensor((1,), "float64", HOME)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lengths must be 0 or more"):
        ops.Tensor((2, -1), "float32", HOME)
    with pytest.raises(ValueError, match=r"at most 2\^48 numbers"):
        ops.Tensor((1 << 30, 1 << 30), "float32", HOME)


def test_copies_of_another_shape_or_dtype_are_refused_by_name() -> None:
    tensor = ops.Tensor((2, 3), "float32", HOME)
    with pytest.raises(ValueError, match=r"array must be float32 \[2, 3\], got shape \[3, 2\]"):
        tensor.copy_from(np.zeros((3, 2), np.float32), HOME)
    with pytest.raises(TypeError, match="got dtype float64"):
        tensor.copy_to(np.zeros((2, 3)), HOME)
    frozen = np.zeros((2, 3), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        tensor.copy_to(frozen, HOME)
    with pytest.raises(ValueError, match=r"rows must lie in a tensor \[2, 3\], got 1 to 3"):
        tensor.rows(1, 3)


def test_a_tensor_leaves_only_where_it_is_and_only_without_a_copy() -> None:
    tensor = ops.Tensor((2,), "float32", HOME)
    assert tensor.__dlpack_device__() == (1, 0)
    assert not hasattr(tensor, "__cuda_array_interface__")
    with pytest.raises(BufferError, match="stays on its device, cpu"):
        tensor.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="without a copy"):
        tensor.__dlpack__(copy=True)
    with pytest.raises(BufferError, match="no stream"):
        tensor.__dlpack__(stream=1)


def test_wiping_leaves_zeros() -> None:
    tensor = ops.Tensor((4, 8), "float32", HOME, pooled=False)
    tensor.copy_from(np.ones((4, 8), np.float32), HOME)
    tensor.rows(1, 3).wipe(HOME)
    assert np.from_dlpack(tensor).sum(axis=1).tolist() == [8, 0, 0, 8]
    tensor.wipe(HOME)
    assert not np.from_dlpack(tensor).any()


def test_the_pool_stops_growing_after_the_first_batches() -> None:
    ops.release_memory("cpu")
    home = ops.Stream("cpu")

    def batch(size: int) -> None:
        given = ops.Tensor((size, 1000), "float32", home)
        ops.Tensor((size, 10), "int32", home).wipe(home)
        given.wipe(home)

    for size in (64, 61):  # nearly of one size: one bucket
        batch(size)
    warm = ops.memory_counts("cpu")
    for _ in range(50):
        batch(64)
        batch(60)
    after = ops.memory_counts("cpu")
    assert (after.allocations, after.held_bytes, after.high_water_bytes) == (
        warm.allocations,
        warm.held_bytes,
        warm.high_water_bytes,
    )
    assert after.loans == warm.loans + 200
    assert after.lent_bytes == 0


def test_what_is_held_for_long_never_enters_the_pool_and_what_waits_can_be_released() -> None:
    ops.release_memory("cpu")
    before = ops.memory_counts("cpu")
    held = ops.Tensor((1 << 20,), "float32", HOME, pooled=False)
    assert ops.memory_counts("cpu").loans == before.loans
    del held
    ops.Tensor((1 << 20,), "float32", HOME)
    assert ops.memory_counts("cpu").held_bytes == 1 << 22
    ops.release_memory("cpu")
    assert ops.memory_counts("cpu").held_bytes == 0


def test_streams_and_events_of_the_cpu_are_always_done() -> None:
    stream = ops.Stream("cpu")
    assert (stream.device, stream.handle) == ("cpu", 0)
    first, second = stream.record(timed=True), stream.record(timed=True)
    stream.wait(first)
    stream.synchronise()
    assert first.is_done
    assert second.ms_since(first) >= 0
    with pytest.raises(ValueError, match="timed=True"):
        second.ms_since(stream.record())


def test_cuda_streams_are_refused_with_the_reason_where_there_is_none() -> None:
    if ops.cuda_device_count() > 0:
        pytest.skip("there is a CUDA device: nothing to refuse")
    reason = "no CUDA device was found" if ops.built_with_cuda() else "build with -Ccmake.define.PYLFR_CUDA=ON"
    with pytest.raises(CudaError, match=reason):
        ops.Stream("cuda")
    with pytest.raises(CudaError, match=reason):
        ops.Stream.borrow(1)
    with pytest.raises(ValueError, match="device must be cpu or cuda, got 'tpu'"):
        ops.Stream("tpu")  # type: ignore[arg-type]


def test_torch_takes_and_gives_the_same_memory() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensor = ops.Tensor((2, 5), "float16", HOME)
    seen = torch.from_dlpack(tensor)
    seen.fill_(2.5)
    assert seen.data_ptr() == tensor.pointer
    back = ops.Tensor.borrow(seen, HOME)
    assert (np.from_dlpack(back) == 2.5).all()


def test_what_arrives_is_what_was_there_when_it_set_out_and_leaves_nothing_behind() -> None:
    values = np.arange(4321, dtype=np.float32)
    tensor = ops.Tensor((4321,), "float32", HOME)
    tensor.copy_from(values, HOME)
    arrival = ops.Readback(tensor, HOME)
    tensor.wipe(HOME)
    for _ in range(2):
        got = np.zeros(4321, np.float32)
        arrival.into(got)
        assert got.tobytes() == values.tobytes()
    del arrival
    # The pool gives the newest block of that size first.
    assert not np.from_dlpack(ops.Tensor((4321,), "float32", HOME)).any()


def test_arrivals_that_do_not_fit_are_refused() -> None:
    tensor = ops.Tensor((3, 4), "float32", HOME)
    with pytest.raises(ValueError, match=r"array must be float32 \[3, 4\], got shape \[4, 3\]"):
        ops.Readback(tensor, HOME).into(np.zeros((4, 3), np.float32))
    with pytest.raises(TypeError):
        ops.Readback(tensor, None)  # type: ignore[arg-type]
    padded = np.lib.stride_tricks.as_strided(np.zeros(64, np.float32), (3, 4), (32, 4))
    with pytest.raises(ValueError, match="padded rows cannot be copied"):
        ops.Readback(ops.Tensor.borrow(padded, HOME), HOME)
    empty = np.zeros((0, 5), np.float32)
    ops.Readback(ops.Tensor((0, 5), "float32", HOME), HOME).into(empty)
