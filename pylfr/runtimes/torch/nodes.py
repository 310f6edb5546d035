"""The steps of a network, and what of them suits a GPU better: fewer kernels, and channels by the eight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

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
    """The same network with each Conv and the Relu after it as one ``ConvRelu``, where nobody else reads between them.

    ``outputs`` are the network's own. cuDNN adds the bias and cuts below zero while the product is still in registers;
    PyTorch's own kernels for that read and write all of it twice more, at a third of the memory's speed.
    """
    made_by = {node.output: node for node in nodes}
    readers = Counter(name for node in nodes for name in node.inputs)
    gone: set[str] = set()
    merged: dict[str, Node] = {}
    for node in nodes:
        before = made_by.get(node.inputs[0]) if node.operator == "Relu" else None
        if before is None or readers[before.output] > 1 or before.output in outputs:
            continue
        shape = _plain_shape(before, weights)
        if shape is not None and shape[0] % _CHANNELS == shape[1] % _CHANNELS == 0:
            gone.add(before.output)
            merged[node.output] = Node(
                operator="ConvRelu", inputs=before.inputs, output=node.output, attributes=before.attributes
            )
    return tuple(merged.get(node.output, node) for node in nodes if node.output not in gone)


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


def _plain_shape(node: Node, weights: Mapping[str, torch.Tensor]) -> torch.Size | None:
    """[out, in, height, width] of a convolution whose weights are fixed and that has no groups."""
    if node.operator != "Conv" or node.attributes.get("group", 1) != 1:
        return None
    return None if any(name not in weights for name in node.inputs[1:] if name) else weights[node.inputs[1]].shape
