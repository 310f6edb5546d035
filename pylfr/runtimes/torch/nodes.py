"""The steps of a network, and what of them suits a GPU better: fewer kernels, and channels by the eight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from pylfr.runtimes.torch.operators import Attributes

# Tensor cores take channels of fp16 by the eight. Others are padded by cuDNN in a kernel of its own, every time.
_CHANNELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One step of a network. An empty name in ``inputs`` is an omitted optional input."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: Attributes


def fused(nodes: Sequence[Node], weights: Mapping[str, torch.Tensor], outputs: Container[str]) -> tuple[Node, ...]:
    """The same network with each Conv and what follows it as one step, where nobody else reads between them.

    A Relu makes it a ``ConvRelu``: cuDNN adds the bias and cuts below zero while the product is still in registers. An
    Add, a PRelu, or both make it a ``ConvFinish``, of the convolution's inputs, what is added and the slope, with an
    empty name for what is left out (``pylfr.runtimes.torch.finish``). PyTorch's own kernels for bias, sum and
    activation each read and write all of it once more, at a third of the memory's speed. ``outputs`` are the network's
    own.
    """
    readers = Counter(name for node in nodes for name in node.inputs)
    made_by: dict[str, Node] = {}
    gone: set[str] = set()

    def alone(name: str, *operators: str) -> Node | None:
        """The convolution that makes this for one reader, with channels by the eight."""
        node = made_by.get(name)
        if node is None or node.operator not in operators or readers[name] > 1 or name in outputs:
            return None
        shape = _fixed_shape(node, weights)
        return node if shape is not None and shape[0] % _CHANNELS == 0 else None

    for node in nodes:
        merged, before = node, None
        if node.operator == "Relu" and (before := alone(node.inputs[0], "Conv")):
            shape = _plain_shape(before, weights)
            if shape is not None and shape[1] % _CHANNELS == 0:
                merged = replace(before, operator="ConvRelu", output=node.output)
        elif node.operator == "Add" and not any(name in weights for name in node.inputs):
            for name, other in (node.inputs, node.inputs[::-1]):
                if name != other and (before := alone(name, "Conv")):
                    merged = _finish(before, node.output, shortcut=other)
                    break
        elif (
            node.operator == "PRelu"
            and (before := alone(node.inputs[0], "Conv", "ConvFinish"))
            and not any(before.inputs[4:])
            and _is_by_channel(node.inputs[1], before, weights)
        ):
            merged = _finish(before, node.output, slope=node.inputs[1])
        made_by[node.output] = merged
        if merged is not node and before is not None:
            gone.add(before.output)
    return tuple(made_by[node.output] for node in nodes if node.output not in gone)


def _finish(before: Node, output: str, *, shortcut: str = "", slope: str = "") -> Node:
    """``before`` with one step more behind it: a convolution, or one that has a shortcut already."""
    tensor, weight, bias, earlier, _ = (*before.inputs, "", "", "")[:5]
    return replace(
        before, operator="ConvFinish", inputs=(tensor, weight, bias, shortcut or earlier, slope), output=output
    )


def _is_by_channel(slope: str, convolution: Node, weights: Mapping[str, torch.Tensor]) -> bool:
    """Whether a slope is fixed, one for each channel of the convolution."""
    shape = _fixed_shape(convolution, weights)
    if slope not in weights or shape is None:
        return False
    return tuple(weights[slope].shape) == (shape[0], 1, 1)


def padded(
    nodes: Sequence[Node], weights: Mapping[str, torch.Tensor], outputs: Container[str]
) -> dict[str, torch.Tensor]:
    """The weights with zeros, so that channels between two convolutions come by the eight; answers stay the same."""
    wider = dict(weights)
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    for node in nodes:
        shape = _plain_shape(node, weights)
        if shape is None or shape[0] % _CHANNELS == 0:
            continue
        between, after = {node.output}, readers.get(node.output, [])
        if len(after) == 1 and after[0].operator == "Relu":
            between, after = {*between, after[0].output}, readers.get(after[0].output, [])
        if not after or any(_plain_shape(each, weights) is None for each in after):
            continue
        own = [name for name in node.inputs[1:] if name]
        theirs = [each.inputs[1] for each in after]
        if any(len(readers[name]) > 1 for name in own + theirs) or any(name in outputs for name in between):
            continue
        lacking = -shape[0] % _CHANNELS
        for name in own:
            wider[name] = functional.pad(wider[name], (*(0, 0) * (wider[name].ndim - 1), 0, lacking))
        for name in theirs:
            wider[name] = functional.pad(wider[name], (0, 0, 0, 0, 0, lacking))
    return wider


def _fixed_shape(node: Node, weights: Mapping[str, torch.Tensor]) -> torch.Size | None:
    """[out, in a group, height, width] of a convolution whose weights are fixed."""
    if node.operator not in ("Conv", "ConvFinish"):
        return None
    return None if any(name not in weights for name in node.inputs[1:3] if name) else weights[node.inputs[1]].shape


def _plain_shape(node: Node, weights: Mapping[str, torch.Tensor]) -> torch.Size | None:
    """As ``_fixed_shape``, of a convolution without groups and with nothing behind it."""
    if node.operator != "Conv" or node.attributes.get("group", 1) != 1:
        return None
    return _fixed_shape(node, weights)
