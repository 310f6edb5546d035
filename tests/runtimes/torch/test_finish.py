"""What follows a convolution, by the core's kernel and by PyTorch's operators: the same numbers."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: make torch")

import torch

from pylfr.runtimes.torch.finish import finished, finished_by_kernel, fits_kernel
from tests.devices import needs_a_gpu

# Sums of a few numbers around 1; halves are rounded after each of PyTorch's steps, and once by the kernel.
TOLERANCES = {torch.float32: 1e-6, torch.float16: 4e-3}

ON_CUDA = pytest.param("cuda", marks=[pytest.mark.cuda, needs_a_gpu])


def drawn(dtype: torch.dtype, device: str, *shape: int) -> torch.Tensor:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(device, dtype)
    return tensor.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else tensor


@pytest.mark.parametrize("device", ["cpu", ON_CUDA])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("steps", ["bias", "shortcut", "slope", "bias slope", "bias shortcut slope"])
def test_the_kernel_and_the_operators_give_the_same(steps: str, dtype: torch.dtype, device: str) -> None:
    made, shortcut = drawn(dtype, device, 3, 24, 5, 7), drawn(dtype, device, 3, 24, 7, 5).reshape(3, 24, 5, 7)
    bias, slope = drawn(dtype, device, 24), drawn(dtype, device, 24) * 0.25
    given = (
        bias if "bias" in steps else None,
        shortcut if "shortcut" in steps else None,
        slope if "slope" in steps else None,
    )
    assert fits_kernel(made)
    wanted = finished(made.cpu(), *(None if each is None else each.cpu() for each in given))
    got = finished_by_kernel(made.clone(memory_format=torch.preserve_format), *given)
    torch.testing.assert_close(got.cpu(), wanted, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


def test_what_does_not_fit_is_left_to_the_operators() -> None:
    assert not fits_kernel(torch.zeros(1, 12, 4, 4, dtype=torch.float16).contiguous(memory_format=torch.channels_last))
    assert not fits_kernel(torch.zeros(1, 16, 4, 4, dtype=torch.float16))
    assert not fits_kernel(torch.zeros(1, 16, 4, 4, dtype=torch.float64).contiguous(memory_format=torch.channels_last))
    assert fits_kernel(torch.zeros(1, 12, 4, 4).contiguous(memory_format=torch.channels_last))


@needs_a_gpu
@pytest.mark.cuda
def test_the_kernel_is_recorded_in_a_cuda_graph() -> None:
    given, bias, slope = (drawn(torch.float16, "cuda", *shape) for shape in ((2, 16, 6, 6), (16,), (16,)))
    finished(given.clone(memory_format=torch.preserve_format), bias, None, slope)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = finished(given * 2, bias, None, slope)
    given.mul_(-1)
    graph.replay()
    wanted = finished((given * 2).cpu(), bias.cpu(), None, slope.cpu())
    torch.testing.assert_close(out.cpu(), wanted, rtol=4e-3, atol=4e-3)
