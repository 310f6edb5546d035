"""PyTorch, on the CPU or on CUDA, for machines without TensorRT. Needs the extra ``torch``.

An ONNX network is run node by node with ``pylfr.runtimes.torch.operators``. On CUDA weights and activations are fp16,
pictures are channels-last, and each batch size (rounded up to a power of two) is captured once as a CUDA graph.
What of this was seen on a device: docs/gpu.md.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import onnx
import torch

from pylfr.errors import CudaError, ModelError
from pylfr.models.store import Model, read_verified
from pylfr.ops import Stream, Tensor
from pylfr.runtimes.host_adapter import require_tensors
from pylfr.runtimes.shape_probe import ShapeProbe
from pylfr.runtimes.torch.nodes import Node, fused, padded
from pylfr.runtimes.torch.operators import OPERATORS, Attribute
from pylfr.types import Device, Float32

# A graph holds its activations permanently: further picture sizes run without one.
_MOST_GRAPHS = 16
_WARM_UP_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A parsed ONNX network: its weights on their device, its nodes in execution order."""

    input: str
    outputs: Mapping[str, tuple[int | None, ...]]
    weights: Mapping[str, torch.Tensor]
    nodes: tuple[Node, ...]

    def run(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """All outputs for a batch, in the network's order. Intermediate values are freed after their last use."""
        values: dict[str, torch.Tensor] = {**self.weights, self.input: tensor}
        for node, spent in zip(self.nodes, self._spent(), strict=True):
            given = [values[name] if name else None for name in node.inputs]
            values[node.output] = OPERATORS[node.operator](node.attributes, given)
            for name in spent:
                del values[name]
        return [values[name] for name in self.outputs]

    def _spent(self) -> list[list[str]]:
        """For each node the intermediate values whose last use it is."""
        last = {name: place for place, node in enumerate(self.nodes) for name in node.inputs if name}
        made = {node.output for node in self.nodes} - set(self.outputs)
        spent: list[list[str]] = [[] for _ in self.nodes]
        for name in made & set(last):
            spent[last[name]].append(name)
        return spent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captured:
    """A CUDA graph for one input shape, with the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    input: torch.Tensor
    outputs: list[torch.Tensor]


class TorchRuntime:
    """Runs one verified ONNX network in PyTorch. Safe for concurrent calls; on CUDA they take turns."""

    def __init__(self, network: Network, *, device: Device, graphs: bool = True) -> None:
        self._network = network
        self._device = device
        self._most_graphs = _MOST_GRAPHS if graphs else 0
        self._captured: dict[tuple[int, ...], Captured] = {}
        self._turn = threading.Lock()
        self._shapes = ShapeProbe(self.run)

    @property
    def device(self) -> Device:
        return self._device

    @property
    def takes_halves(self) -> bool:
        """On CUDA networks run in fp16 and channels-last: such pictures need no conversion."""
        return self._device == "cuda"

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return self._network.outputs

    def run(self, tensor: Float32) -> dict[str, Float32]:
        results = {name: np.empty(0, np.float32) for name in self.outputs}
        with self._turn, torch.inference_mode():
            for name, output in zip(self.outputs, self._forward(tensor), strict=True):
                # A row-major copy: PyTorch's own result may be strided.
                results[name] = np.array(output[: len(tensor)].float().cpu().numpy(), np.float32, order="C")
        return results

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        if out.dtype != np.float32 or not out.flags.c_contiguous:
            raise TypeError(f"out must be C-contiguous float32, got {out.dtype.name}; pass a slice of whole rows")
        place = list(self.outputs).index(output)
        with self._turn, torch.inference_mode():
            result = self._forward(tensor)[place]
            rows = result[: len(tensor)]
            if tuple(rows.shape) != out.shape:
                raise ValueError(f"out must be float32 {list(rows.shape)}, got shape {list(out.shape)}")
            torch.from_numpy(out).copy_(rows)
            # The copy in `out` is wiped by its owner; PyTorch's is wiped here.
            result.zero_()

    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        return self._shapes.of(shape)

    def run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> None:
        """As ``DeviceRuntime.run_on``; pictures may be float16 [B, H, W, 3] instead.

        Tensors are exchanged by DLPack; results are copied into them on the device.
        """
        is_half = tensor.dtype == "float16"
        shape = (tensor.shape[0], tensor.shape[3], *tensor.shape[1:3]) if is_half else tensor.shape
        require_tensors(self._device, tensor, outputs, self.output_shapes(shape), may_be_half=True)
        with self._turn, torch.inference_mode(), _on(stream):
            pictures = torch.from_dlpack(tensor)
            pictures = pictures.permute(0, 3, 1, 2) if is_half else pictures
            results = dict(zip(self.outputs, self._answers(pictures), strict=True))
            for name, output in outputs.items():
                into = torch.from_dlpack(output)
                into.copy_(results[name][: len(tensor)].reshape(into.shape))
            for result in results.values():
                result.zero_()

    def _forward(self, tensor: Float32) -> list[torch.Tensor]:
        return self._answers(torch.from_numpy(np.ascontiguousarray(tensor)))

    def _answers(self, given: torch.Tensor) -> list[torch.Tensor]:
        """All outputs, for at least as many pictures as given, which are on the host or on this device."""
        if self._device == "cpu":
            return self._network.run(given.float())
        batch = 1 << (len(given) - 1).bit_length()
        shape = (batch, *given.shape[1:])
        if shape not in self._captured and len(self._captured) >= self._most_graphs:
            return self._network.run(_on_cuda(given))
        captured = self._captured.get(shape) or self._capture(shape)
        captured.input[: len(given)].copy_(given)
        captured.graph.replay()
        # No picture remains in memory that persists.
        captured.input.zero_()
        return captured.outputs

    def _capture(self, shape: tuple[int, ...]) -> Captured:
        given = _on_cuda(torch.zeros(shape))
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_RUNS):
                self._network.run(given)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may use the device meanwhile, decoders for example.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                outputs = self._network.run(given)
        except RuntimeError as error:
            raise CudaError(
                f"PyTorch {torch.__version__} could not record a CUDA graph of {list(shape)}: {error}; set "
                "graphs = false in [models]"
            ) from error
        captured = Captured(graph=graph, input=given, outputs=outputs)
        self._captured[shape] = captured
        return captured


def open_torch(model: Model, *, device: Device = "cpu", graphs: bool = True) -> TorchRuntime:
    """Load ``model`` for PyTorch on ``device``: float32 on the CPU, fp16 on CUDA, there as CUDA graphs if ``graphs``.

    Raises ``ModelError`` if the file was altered or uses an unsupported operator, and ``CudaError`` if PyTorch finds no
    CUDA device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda or "no CUDA"
        raise CudaError(
            f"device is 'cuda', but PyTorch {torch.__version__} ({built}) finds none: check the driver, or use 'cpu'"
        )
    content = read_verified(model)
    try:
        return TorchRuntime(_read(onnx.load_from_string(content), device), device=device, graphs=graphs)
    except ValueError as error:
        raise ModelError(f"{model.path} cannot be run by PyTorch: {error}; use runtime 'onnx'") from error


def _on(stream: Stream) -> AbstractContextManager[object]:
    """PyTorch queues on the caller's stream; on the CPU there is none."""
    if stream.device == "cpu":
        return nullcontext()
    entered: AbstractContextManager[object] = torch.cuda.stream(torch.cuda.ExternalStream(stream.handle))
    return entered


def _read(proto: onnx.ModelProto, device: Device) -> Network:
    graph = proto.graph
    unknown = sorted({node.op_type for node in graph.node} - set(OPERATORS))
    if unknown:
        raise ValueError(f"it uses {', '.join(unknown)}, which pylfr does not support")
    # Scale factors are read on the host: they cannot be read from the device while a graph is recorded.
    read_here = {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}
    weights = {each.name: _tensor(each, "cpu" if each.name in read_here else device) for each in graph.initializer}
    inputs = [each.name for each in graph.input if each.name not in weights]
    if len(inputs) != 1:
        raise ValueError(f"it must take one tensor [B, 3, H, W], it takes {len(inputs)}")
    nodes = [
        Node(
            operator=node.op_type,
            inputs=tuple(node.input),
            output=node.output[0],
            attributes={
                each.name: _attribute(each, "cpu" if node.output[0] in read_here else device) for each in node.attribute
            },
        )
        for node in graph.node
    ]
    outputs = {each.name: _lengths(each) for each in graph.output}
    if device == "cuda":
        weights = {name: _as_laid_out(each) for name, each in padded(nodes, weights, outputs).items()}
    return Network(input=inputs[0], outputs=outputs, weights=weights, nodes=fused(nodes, weights, outputs))


def _tensor(proto: onnx.TensorProto, device: Device) -> torch.Tensor:
    """A weight in the network's precision on its device; integers, which are shapes, stay on the CPU."""
    tensor = torch.from_numpy(np.array(onnx.numpy_helper.to_array(proto)))
    if not tensor.is_floating_point():
        return tensor
    return tensor.float() if device == "cpu" else _on_cuda(tensor)


def _on_cuda(tensor: torch.Tensor) -> torch.Tensor:
    layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
    return tensor.to("cuda", torch.float16, memory_format=layout)


def _as_laid_out(weight: torch.Tensor) -> torch.Tensor:
    return weight.contiguous(memory_format=torch.channels_last) if weight.ndim == 4 else weight


def _attribute(proto: onnx.AttributeProto, device: Device) -> Attribute:
    value = onnx.helper.get_attribute_value(proto)
    if isinstance(value, onnx.TensorProto):
        return _tensor(value, device)
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, int | float | str) else list(value)


def _lengths(output: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    return tuple(each.dim_value or None for each in output.type.tensor_type.shape.dim)
