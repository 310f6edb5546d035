"""What follows a convolution: its bias, a shortcut, PReLU, in one kernel of the core where it runs on CUDA.

PyTorch has a kernel for each, which reads and writes all of the convolution's output again: nearly half of the time of
IResNet-50.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from pylfr import ops

# Channels that 16 bytes hold.
_TOGETHER = {torch.float16: 8, torch.float32: 4}


def finished(
    made: torch.Tensor, bias: torch.Tensor | None, shortcut: torch.Tensor | None, slope: torch.Tensor | None
) -> torch.Tensor:
    """``made`` [B, C, H, W] + ``bias`` [C] + ``shortcut``, then PReLU with ``slope`` [C]; None leaves a step out.

    ``made`` is overwritten where it is on CUDA, its channels lie side by side and come by the eight (by the four in
    float32); elsewhere PyTorch's operators do the same.
    """
    if made.is_cuda and fits_kernel(made) and (shortcut is None or shortcut.shape == made.shape):
        return finished_by_kernel(made, bias, shortcut, slope)
    made = made if bias is None else made + bias.reshape(-1, 1, 1)
    made = made if shortcut is None else made + shortcut
    return made if slope is None else functional.prelu(made, slope)


def fits_kernel(made: torch.Tensor) -> bool:
    """Whether the core's kernel takes this output of a convolution."""
    together = _TOGETHER.get(made.dtype)
    return (
        together is not None
        and made.ndim == 4
        and made.shape[1] % together == 0
        and made.is_contiguous(memory_format=torch.channels_last)
    )


def finished_by_kernel(
    made: torch.Tensor, bias: torch.Tensor | None, shortcut: torch.Tensor | None, slope: torch.Tensor | None
) -> torch.Tensor:
    """As ``finished``, in place, for what ``fits_kernel``; queued on PyTorch's current stream, also while it records.

    The caching allocator knows that stream: memory is given to others only after the kernel, in its order.
    """
    ops.finish_convolution(
        _given(_rows(made)),
        None if bias is None else _given(bias),
        None if shortcut is None else _given(_rows(shortcut.contiguous(memory_format=torch.channels_last))),
        None if slope is None else _given(slope),
        stream=torch.cuda.current_stream().cuda_stream if made.is_cuda else 0,
    )
    return made


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W], its channels side by side, as [B * H * W, C]: the same memory."""
    return tensor.permute(0, 2, 3, 1).view(-1, tensor.shape[1])


def _given(tensor: torch.Tensor) -> object:
    """What the core is given. PyTorch's tensors say where they are on CUDA alone, and without a gradient."""
    return tensor.detach() if tensor.is_cuda else tensor.detach().numpy()
