"""The ONNX operators that face networks are made of, in PyTorch. Imported only by ``pylfr.runtimes.torch.runtime``.

Each function takes a node's attributes and its input tensors (None where an optional one is left out). Shapes travel as
int64 tensors on the CPU, so that nothing waits for the device to learn how large a tensor is. What is not here is
refused when a network is loaded, by name: see ``OPERATORS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch.nn import functional

from pylfr.runtimes.torch.finish import finished

# What an ONNX attribute holds, of the kinds that these operators have.
Attribute: TypeAlias = int | float | str | list[int] | list[float] | torch.Tensor
Attributes = Mapping[str, Attribute]
Operator = Callable[[Attributes, Sequence[torch.Tensor | None]], torch.Tensor]


def _present(inputs: Sequence[torch.Tensor | None]) -> list[torch.Tensor]:
    return [each for each in inputs if each is not None]


def _integers(attributes: Attributes, name: str, default: list[int]) -> list[int]:
    value = attributes.get(name, default)
    if not isinstance(value, list):
        raise ValueError(f"attribute {name} must be a list, got {value!r}")
    return [int(each) for each in value]


def _integer(attributes: Attributes, name: str, default: int) -> int:
    value = attributes.get(name, default)
    if not isinstance(value, int):
        raise ValueError(f"attribute {name} must be a whole number, got {value!r}")
    return value


def _number(attributes: Attributes, name: str, default: float) -> float:
    value = attributes.get(name, default)
    if not isinstance(value, int | float):
        raise ValueError(f"attribute {name} must be a number, got {value!r}")
    return float(value)


def _optional(inputs: Sequence[torch.Tensor | None], place: int) -> torch.Tensor | None:
    return inputs[place] if len(inputs) > place else None


def _padded(attributes: Attributes, tensor: torch.Tensor, value: float) -> torch.Tensor:
    """``tensor`` [B, C, H, W] with the node's explicit padding. Raises ``ValueError`` for automatic padding."""
    auto = attributes.get("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID"):
        raise ValueError(f"padding must be explicit, got auto_pad {auto!r}: export the network with fixed padding")
    top, left, bottom, right = _integers(attributes, "pads", [0, 0, 0, 0])
    return functional.pad(tensor, (left, right, top, bottom), value=value) if top + left + bottom + right else tensor


def _with_padding(attributes: Attributes, tensor: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
    """``tensor``, and by how much a convolution pads it itself: by the same on opposite sides costs nothing extra."""
    top, left, bottom, right = _integers(attributes, "pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right) and attributes.get("auto_pad", "NOTSET") == "NOTSET":
        return tensor, [top, left]
    return _padded(attributes, tensor, 0.0), [0, 0]


def _conv(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, weight = _present(inputs[:2])
    tensor, padding = _with_padding(attributes, tensor)
    return functional.conv2d(
        tensor,
        weight,
        _optional(inputs, 2),
        stride=_integers(attributes, "strides", [1, 1]),
        padding=padding,
        dilation=_integers(attributes, "dilations", [1, 1]),
        groups=_integer(attributes, "group", 1),
    )


def _conv_finish(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Conv, and what follows it: no operator of ONNX, but what ``nodes.fused`` makes of two or three."""
    tensor, weight, bias, shortcut, slope = inputs
    slope = None if slope is None else slope.reshape(-1)
    if tensor is not None and tensor.is_cuda:
        return finished(_conv(attributes, (tensor, weight)), bias, shortcut, slope)
    return finished(_conv(attributes, (tensor, weight, bias)), None, shortcut, slope)


def _conv_relu(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Conv and Relu: no operator of ONNX, but what ``nodes.fused`` makes of two."""
    tensor, weight = _present(inputs[:2])
    if not tensor.is_cuda:
        return functional.relu(_conv(attributes, inputs))
    tensor, padding = _with_padding(attributes, tensor)
    return torch.cudnn_convolution_relu(
        tensor,
        weight,
        _optional(inputs, 2),
        _integers(attributes, "strides", [1, 1]),
        padding,
        _integers(attributes, "dilations", [1, 1]),
        _integer(attributes, "group", 1),
    )


def _pool_kernel(attributes: Attributes) -> tuple[list[int], list[int]]:
    if _integer(attributes, "ceil_mode", 0):
        raise ValueError("pooling must round down, got ceil_mode 1: export the network without it")
    return _integers(attributes, "kernel_shape", []), _integers(attributes, "strides", [1, 1])


def _max_pool(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    kernel, strides = _pool_kernel(attributes)
    return functional.max_pool2d(_padded(attributes, _present(inputs)[0], float("-inf")), kernel, strides)


def _average_pool(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    kernel, strides = _pool_kernel(attributes)
    if any(_integers(attributes, "pads", [0])) and not _integer(attributes, "count_include_pad", 0):
        raise ValueError("average pooling with padding must count it, got count_include_pad 0")
    return functional.avg_pool2d(_padded(attributes, _present(inputs)[0], 0.0), kernel, strides)


def _batch_normalisation(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, scale, bias, mean, variance = _present(inputs)
    return functional.batch_norm(tensor, mean, variance, scale, bias, eps=_number(attributes, "epsilon", 1e-5))


def _prelu(_: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, slope = _present(inputs)
    # One kernel where there is one slope, or one for each channel, as networks for faces have it.
    is_by_channel = tensor.ndim >= 2 and tuple(slope.shape) == (tensor.shape[1], *(1,) * (tensor.ndim - 2))
    if slope.numel() == 1 or is_by_channel:
        return functional.prelu(tensor, slope.reshape(-1))
    return torch.where(tensor < 0, tensor * slope, tensor)


def _clip(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    low, high = _optional(inputs, 1), _optional(inputs, 2)
    tensor = _present(inputs)[0]
    if low is None and "min" in attributes:
        tensor = tensor.clamp(min=_number(attributes, "min", 0.0))
    if high is None and "max" in attributes:
        tensor = tensor.clamp(max=_number(attributes, "max", 0.0))
    tensor = tensor if low is None else torch.maximum(tensor, low.to(tensor))
    return tensor if high is None else torch.minimum(tensor, high.to(tensor))


def _gemm(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    left, right = _present(inputs[:2])
    left = left.T if _integer(attributes, "transA", 0) else left
    right = right.T if _integer(attributes, "transB", 0) else right
    product = _number(attributes, "alpha", 1.0) * (left @ right)
    added = _optional(inputs, 2)
    return product if added is None else product + _number(attributes, "beta", 1.0) * added


def _reshape(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, shape = _present(inputs)
    is_literal = bool(_integer(attributes, "allowzero", 0))
    lengths = [
        tensor.shape[axis] if length == 0 and not is_literal else int(length)
        for axis, length in enumerate(shape.tolist())
    ]
    return tensor.reshape(lengths)


def _shape(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    lengths = list(_present(inputs)[0].shape)
    cut = slice(_integer(attributes, "start", 0), _integer(attributes, "end", len(lengths)))
    return torch.tensor(lengths[cut], dtype=torch.int64)


def _transpose(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor = _present(inputs)[0]
    return tensor.permute(_integers(attributes, "perm", list(reversed(range(tensor.ndim)))))


def _flatten(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, axis = _present(inputs)[0], _integer(attributes, "axis", 1)
    rows = 1
    for length in tensor.shape[:axis]:
        rows *= length
    return tensor.reshape(rows, -1)


def _axes(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> list[int]:
    """The axes of a node: an input since opset 13, an attribute before."""
    given = _optional(inputs, 1)
    return [int(each) for each in given.tolist()] if given is not None else _integers(attributes, "axes", [])


def _squeeze(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, axes = _present(inputs)[0], _axes(attributes, inputs)
    return tensor.squeeze(tuple(axes)) if axes else tensor.squeeze()


def _unsqueeze(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, axes = _present(inputs)[0], _axes(attributes, inputs)
    rank = tensor.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        tensor = tensor.unsqueeze(axis)
    return tensor


def _reduce_mean(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    axes, tensor = _axes(attributes, inputs), _present(inputs)[0]
    return tensor.mean(dim=axes or list(range(tensor.ndim)), keepdim=bool(_integer(attributes, "keepdims", 1)))


def _slice(_: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, starts, ends = _present(inputs[:3])
    given, steps = _optional(inputs, 3), _optional(inputs, 4)
    axes = given.tolist() if given is not None else list(range(len(starts)))
    for place, axis in enumerate(axes):
        step = 1 if steps is None else int(steps[place])
        if step < 1:
            raise ValueError(f"Slice must step forwards, got {step}")
        cut = [slice(None)] * tensor.ndim
        cut[axis] = slice(int(starts[place]), int(ends[place]), step)
        tensor = tensor[tuple(cut)]
    return tensor


def _gather(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, index = _present(inputs)
    axis = _integer(attributes, "axis", 0)
    index = index.to(tensor.device)
    index = torch.where(index < 0, index + tensor.shape[axis], index)
    shape = (*tensor.shape[:axis], *index.shape, *tensor.shape[axis % tensor.ndim + 1 :])
    return tensor.index_select(axis, index.reshape(-1)).reshape(shape)


def _resize(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """Nearest neighbour by whole factors, and bilinear between the centres of pixels: what face networks use."""
    tensor = _present(inputs)[0]
    scales, sizes = (_optional(inputs, 1), None) if len(inputs) == 2 else (_optional(inputs, 2), _optional(inputs, 3))
    if sizes is not None and len(sizes):
        height, width = (int(sizes[axis]) for axis in (2, 3))
    elif scales is not None and len(scales) == 4:
        height, width = (int(tensor.shape[axis] * float(scales[axis])) for axis in (2, 3))
    else:
        raise ValueError("Resize must have four scales or sizes")
    mode, placing = attributes.get("mode", "nearest"), attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode == "linear" and placing in ("half_pixel", "pytorch_half_pixel"):
        return functional.interpolate(tensor, size=(height, width), mode="bilinear", align_corners=False)
    high, rest_high = divmod(height, tensor.shape[2])
    wide, rest_wide = divmod(width, tensor.shape[3])
    if mode != "nearest" or rest_high or rest_wide:
        raise ValueError(f"Resize must be nearest by whole factors or linear by half pixels, got {mode!r}, {placing!r}")
    # One kernel, which keeps channels-last; by whole factors it repeats pixels exactly.
    return functional.interpolate(tensor, size=(tensor.shape[2] * high, tensor.shape[3] * wide), mode="nearest")


def _constant(attributes: Attributes, _: Sequence[torch.Tensor | None]) -> torch.Tensor:
    value = attributes.get("value")
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"Constant must hold a tensor, got {sorted(attributes)}")
    return value


def _cast(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    tensor, number = _present(inputs)[0], _integer(attributes, "to", 0)
    # The numbers are those of ONNX's TensorProto.DataType. A float keeps the precision that the network runs in.
    if number == 1:
        return tensor if tensor.is_floating_point() else tensor.to(torch.float32)
    kinds = {6: torch.int32, 7: torch.int64, 9: torch.bool}
    if number not in kinds:
        raise ValueError(f"Cast must be to float32, int32, int64 or bool, got ONNX type {number}")
    return tensor.to(kinds[number])


def _divide(_: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    left, right = _present(inputs)
    return left / right if left.is_floating_point() else torch.div(left, right, rounding_mode="trunc")


def _reduce_l2(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    axes, tensor = _axes(attributes, inputs), _present(inputs)[0]
    return tensor.norm(dim=axes, keepdim=bool(_integer(attributes, "keepdims", 1)))


def _reduce_sum(attributes: Attributes, inputs: Sequence[torch.Tensor | None]) -> torch.Tensor:
    axes, tensor = _axes(attributes, inputs), _present(inputs)[0]
    return tensor.sum(dim=axes or list(range(tensor.ndim)), keepdim=bool(_integer(attributes, "keepdims", 1)))


OPERATORS: Mapping[str, Operator] = {
    "Add": lambda _, inputs: torch.add(*_present(inputs)),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalisation,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda attributes, inputs: torch.cat(_present(inputs), dim=_integer(attributes, "axis", 0)),
    "Constant": _constant,
    "Conv": _conv,
    "ConvFinish": _conv_finish,
    "ConvRelu": _conv_relu,
    "Div": _divide,
    "Dropout": lambda _, inputs: _present(inputs)[0],
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, inputs: _present(inputs)[0].mean(dim=(2, 3), keepdim=True),
    "Identity": lambda _, inputs: _present(inputs)[0],
    "LeakyRelu": lambda attributes, inputs: functional.leaky_relu(
        _present(inputs)[0], _number(attributes, "alpha", 0.01)
    ),
    "MatMul": lambda _, inputs: torch.matmul(*_present(inputs)),
    "MaxPool": _max_pool,
    "Mul": lambda _, inputs: torch.mul(*_present(inputs)),
    "PRelu": _prelu,
    "ReduceL2": _reduce_l2,
    "ReduceMean": _reduce_mean,
    "ReduceSum": _reduce_sum,
    "Relu": lambda _, inputs: functional.relu(_present(inputs)[0]),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Sigmoid": lambda _, inputs: torch.sigmoid(_present(inputs)[0]),
    "Slice": _slice,
    "Sqrt": lambda _, inputs: torch.sqrt(_present(inputs)[0]),
    "Squeeze": _squeeze,
    "Sub": lambda _, inputs: torch.sub(*_present(inputs)),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
