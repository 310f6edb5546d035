"""The embedding teacher as a torch module, read from its ONNX file, so that a GPU runs it beside the student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from people import teacher_path
from torch import Tensor, nn
from torch.nn import functional

MAPS = ("t238", "t538", "t666")  # its last maps of 32x32, 16x16 and 8x8 cells; 64, 128 and 128 channels
MAP_CHANNELS = (64, 128, 128)
MAP_CELLS = (32, 16, 8)
DIMENSION = 256


Answer = Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]]


def open_teacher(device: torch.device) -> Answer:
    """The teacher for crops float32 [n, 3, 128, 128], BGR 0-255: in half precision on a GPU, by OpenVINO on a CPU."""
    path = teacher_path("face_reid_0095.onnx")
    if device.type != "cpu":
        network = TeacherNetwork(path).eval().requires_grad_(requires_grad=False).to(device).half()
        return lambda crops: network(crops.half())
    from teachers import EmbeddingTeacher

    teacher = EmbeddingTeacher(threads=torch.get_num_threads(), maps=MAPS)

    def answer(crops: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        vectors, *maps = (torch.from_numpy(a) for a in teacher.answer(crops.contiguous().numpy()))
        return vectors, tuple(maps)

    return answer


class TeacherNetwork(nn.Module):
    """BGR 0-255 [n, 3, 128, 128] to embeddings [n, 256], not normalised, and the three maps."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = onnx.load(path).graph
        self._nodes = list(graph.node)
        self._input = graph.input[0].name
        self._constants = {}
        for tensor in graph.initializer:
            name = f"constant_{tensor.name}"
            self.register_buffer(name, torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32)))
            self._constants[tensor.name] = name
        last = {name: i for i, node in enumerate(self._nodes) for name in node.input}
        self._spent = [
            [name for name in node.input if last[name] == i and name not in self._constants and name not in MAPS]
            for i, node in enumerate(self._nodes)
        ]

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        values = {self._input: x}
        for node, spent in zip(self._nodes, self._spent, strict=True):
            inputs = [
                getattr(self, self._constants[name]) if name in self._constants else values[name] for name in node.input
            ]
            values[node.output[0]] = self._operate(node, inputs)
            for name in spent:
                values.pop(name, None)
        return values[self._nodes[-1].output[0]], tuple(values[name] for name in MAPS)

    @staticmethod
    def _operate(node: onnx.NodeProto, inputs: list[Tensor]) -> Tensor:
        match node.op_type:
            case "Conv":
                of = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
                return functional.conv2d(
                    inputs[0], inputs[1], None, of["strides"], of["pads"][0], of["dilations"], of["group"]
                )
            case "Add":
                return inputs[0] + inputs[1]
            case "Mul":
                return inputs[0] * inputs[1]
            case "PRelu":
                return functional.prelu(inputs[0], inputs[1].flatten())
            case "Sigmoid":
                return torch.sigmoid(inputs[0])
            case "GlobalAveragePool":
                return inputs[0].mean((2, 3), keepdim=True)
            case "Flatten":
                return inputs[0].flatten(1)
        raise ValueError(f"the teacher has an operation {node.op_type!r}; teach TeacherNetwork to run it")
