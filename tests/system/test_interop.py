"""Arrays of other libraries in and out without a copy: NumPy's are in ``native/test_tensor.py``, here the device's."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from pylfr import ops
from pylfr.errors import CudaError
from pylfr.types import Element
from tests.conftest import why_not_cuda
from tests.devices import needs_a_gpu

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Describes memory on a device as numba's protocol does, true or not; nobody may look at it."""

    typestr: str = "<f4"
    shape: tuple[int, ...] = (3, 4)
    strides: tuple[int, ...] | None = None
    memory: tuple[int, bool] = field(default=(0, False))

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {
            "typestr": self.typestr,
            "shape": self.shape,
            "strides": self.strides,
            "data": self.memory,
            "version": 3,
        }


@pytest.mark.parametrize(
    ("array", "error", "reason"),
    [
        (Described(typestr="<f8"), ValueError, "dtype must be float32, .* got 'float64'"),
        (Described(typestr="|b1"), ValueError, "got 'bool'"),
        (Described(typestr=">f4"), TypeError, "this machine's byte order, got typestr '>f4'"),
        (Described(typestr="no type"), TypeError, "no type"),
        (Described(strides=(4, 12)), ValueError, "row-major"),
        (Described(strides=(8, 4)), ValueError, "row-major"),
        (Described(strides=(-16, 4)), ValueError, "row-major"),
        (Described(strides=(4,)), ValueError, "one number an axis"),
        (Described(), ValueError, "an array on cuda needs a stream of that device, got one of cpu"),
        (Described(strides=(32, 4)), ValueError, "needs a stream of that device"),
    ],
)
def test_what_describes_itself_wrongly_or_lies_elsewhere_is_refused(
    array: Described, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        ops.Tensor.borrow(array, ops.Stream("cpu"))


def test_without_a_device_no_stream_of_another_library_can_be_borrowed() -> None:
    if why_not_cuda() is None:
        pytest.skip("this machine has a CUDA device: nothing to refuse")
    with pytest.raises(CudaError, match="no CUDA"):
        ops.Stream.borrow(0, owner=None)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "uint8"])
def test_torch_on_the_cpu_reads_and_writes_the_same_memory(dtype: Element) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make torch")
    tensor = ops.Tensor((2, 3), dtype, ops.Stream("cpu"))
    seen = torch.from_dlpack(tensor)
    seen.copy_(torch.arange(6).reshape(2, 3))
    assert (seen.data_ptr(), str(seen.dtype)) == (tensor.pointer, f"torch.{dtype}")
    np.testing.assert_array_equal(np.from_dlpack(tensor), np.arange(6).reshape(2, 3))
    back = ops.Tensor.borrow(seen, ops.Stream("cpu"))
    assert (back.pointer, back.shape, back.dtype) == (tensor.pointer, (2, 3), dtype)


def test_what_torch_and_the_core_lend_each_other_outlives_its_owner() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make torch")
    theirs = ops.Tensor.borrow(torch.full((1 << 16,), 7.0), ops.Stream("cpu"))
    ours = ops.Tensor((1 << 16,), "float32", ops.Stream("cpu"))
    ours.copy_from(np.full(1 << 16, 9, np.float32), ops.Stream("cpu"))
    seen = torch.from_dlpack(ours)
    del ours
    gc.collect()
    # Whoever takes memory now would write over it if it had been given back.
    others = [torch.zeros(1 << 16), ops.Tensor((1 << 16,), "float32", ops.Stream("cpu"))]
    others[1].wipe(ops.Stream("cpu"))
    assert (np.from_dlpack(theirs) == 7).all()
    assert bool((seen == 9).all())


def test_a_tensor_of_torch_that_does_not_fit_is_refused() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make torch")
    stream = ops.Stream("cpu")
    with pytest.raises(ValueError, match="row-major"):
        ops.Tensor.borrow(torch.zeros(3, 4).T, stream)
    with pytest.raises(TypeError, match="got DLPack type 2 of 64 bits"):
        ops.Tensor.borrow(torch.zeros(3, dtype=torch.float64), stream)


@pytest.mark.cuda
def test_what_is_read_only_is_read_and_never_written_to() -> None:
    home = ops.Stream("cuda")
    mine = ops.Tensor((3, 4), "float32", home)
    mine.wipe(home)
    frozen = ops.Tensor.borrow(Described(memory=(mine.pointer, True)), home)
    assert (frozen.pointer, frozen.is_read_only) == (mine.pointer, True)
    values = np.ones((3, 4), np.float32)
    frozen.copy_to(values, home)
    assert not values.any()
    with pytest.raises(ValueError, match="read-only"):
        frozen.copy_from(values, home)
    with pytest.raises(ValueError, match="read-only"):
        frozen.wipe(home)


@needs_a_gpu
@pytest.mark.cuda
def test_torch_takes_and_gives_the_same_memory_in_the_order_of_streams() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    home = ops.Stream("cuda")
    tensor = ops.Tensor((1 << 20,), "float32", home)
    tensor.wipe(home)
    seen = torch.from_dlpack(tensor)
    assert seen.data_ptr() == tensor.pointer
    seen.add_(3)
    back = ops.Tensor.borrow(seen, home)
    assert back.pointer == tensor.pointer
    values = np.empty(1 << 20, np.float32)
    back.copy_to(values, home)
    assert (values == 3).all()
    interface = tensor.__cuda_array_interface__
    assert interface["shape"] == (1 << 20,)
    assert interface["typestr"] == "<f4"
    assert torch.as_tensor(tensor, device="cuda").data_ptr() == tensor.pointer


@needs_a_gpu
@pytest.mark.cuda
def test_a_stream_of_torch_can_be_borrowed() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.cuda.Stream()
    home = ops.Stream.borrow(theirs.cuda_stream, owner=theirs)
    assert (home.device, home.handle) == ("cuda", theirs.cuda_stream)
    tensor = ops.Tensor((1000,), "int32", home)
    tensor.copy_from(np.arange(1000, dtype=np.int32), home)
    with torch.cuda.stream(theirs):
        assert int(torch.from_dlpack(tensor).sum()) == 499_500
    del tensor, home


@needs_a_gpu
@pytest.mark.cuda
def test_cupy_takes_and_gives_the_same_memory() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    home = ops.Stream("cuda")
    theirs = cupy.arange(12, dtype=cupy.float32).reshape(3, 4)
    tensor = ops.Tensor.borrow(theirs, home)
    assert (tensor.pointer, tensor.shape) == (theirs.data.ptr, (3, 4))
    values = np.empty((3, 4), np.float32)
    tensor.copy_to(values, home)
    np.testing.assert_array_equal(values, np.arange(12).reshape(3, 4))
    mine = ops.Tensor((5,), "float32", home)
    mine.copy_from(np.arange(5, dtype=np.float32), home)
    for seen in (cupy.asarray(mine), cupy.from_dlpack(mine)):
        assert seen.data.ptr == mine.pointer
        assert float(seen.sum()) == 10


@needs_a_gpu
@pytest.mark.cuda
@pytest.mark.parametrize("context", ["pycuda.autoprimaryctx", "pycuda.autoinit"])
def test_arrays_and_stages_work_in_a_context_that_pycuda_made(context: str) -> None:
    pytest.importorskip("pycuda", reason="pycuda is not installed")
    run = subprocess.run(
        [sys.executable, "-m", "tests.system.in_a_context_of_pycuda", context],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
