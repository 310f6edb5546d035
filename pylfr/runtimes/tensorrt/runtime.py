"""TensorRT 10, TensorRT 11 or TensorRT-RTX, by module name: an engine run on the caller's memory and stream.

Calls never wait. Batches go through CUDA graphs: TensorRT-RTX records each shape itself; for TensorRT
``pylfr.runtimes.cuda_graphs`` does, which copies a batch on the device. Without graphs nothing is copied. Each graph
has an execution context of its own, as NVIDIA advises: another shape in the same context would invalidate the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Protocol

from pylfr import ops
from pylfr.errors import CudaError, ModelError
from pylfr.models.store import Model
from pylfr.ops import Stream, Tensor
from pylfr.runtimes.cuda_graphs import Enqueue, GraphedBatches
from pylfr.runtimes.fp16 import require_agreement, synthetic_pictures
from pylfr.runtimes.host_adapter import HostAdapter, require_tensors
from pylfr.runtimes.onnx import open_onnx
from pylfr.runtimes.tensorrt.build import BuildProgress, Precision, engine_of, open_library, profile_of
from pylfr.runtimes.tensorrt.device import current_gpu
from pylfr.runtimes.tensorrt.engine_cache import EngineCache, open_engine_cache
from pylfr.types import Device


class _Context(Protocol):
    """The part of an execution context that is used here."""

    def set_input_shape(self, name: str, shape: tuple[int, ...], /) -> bool: ...

    def get_tensor_shape(self, name: str, /) -> Sequence[int]: ...

    def set_tensor_address(self, name: str, memory: int, /) -> bool: ...

    def execute_async_v3(self, stream_handle: int, /) -> bool: ...


class _RuntimeConfig(Protocol):
    cuda_graph_strategy: object


class _Engine(Protocol):
    """The part of an engine that is used here."""

    num_io_tensors: int

    def get_tensor_name(self, index: int, /) -> str: ...

    def get_tensor_mode(self, name: str, /) -> object: ...

    def get_tensor_shape(self, name: str, /) -> Sequence[int]: ...

    def get_tensor_dtype(self, name: str, /) -> object: ...

    def get_tensor_profile_shape(self, name: str, profile: int, /) -> Sequence[Sequence[int]]: ...

    def create_runtime_config(self) -> _RuntimeConfig: ...

    def create_execution_context(self, config: _RuntimeConfig | None = None, /) -> _Context | None: ...


class TensorRtRuntime(HostAdapter):
    """Runs one engine, on any stream; threads take turns. The engine lives as long as this object."""

    def __init__(self, trt: ModuleType, engine: bytes, *, device: Device = "cuda", graphs: bool = True) -> None:
        """``engine`` must come from the cache, which authenticates it: loading an engine runs its code."""
        super().__init__()
        self._device: Device = device
        self._logger = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._logger)
        loaded: _Engine | None = self._runtime.deserialize_cuda_engine(engine)
        if loaded is None:
            raise ModelError(f"{trt.__name__} {trt.__version__} cannot load this engine here: build it on this machine")
        self._engine = loaded
        self._trt = trt
        # For shapes, and for batches without a graph: never recorded.
        self._context = _context(trt, loaded, _strategy(trt) if graphs else None)
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        if len(inputs) != 1:
            raise ModelError(f"an engine must take one tensor [B, 3, H, W], this one takes {len(inputs)}")
        self._input: str = inputs[0]
        self._outputs: dict[str, tuple[int | None, ...]] = {
            name: tuple(None if side < 0 else int(side) for side in self._engine.get_tensor_shape(name))
            for name in names
            if name != self._input
        }
        for name in names:
            if self._engine.get_tensor_dtype(name) != trt.float32:
                raise ModelError(
                    f"an engine's inputs and outputs must be float32, {name!r} is not: export it with float32 ends"
                )
        self._graphs: GraphedBatches | None = None
        if graphs and _strategy(trt) is None:
            most = self._engine.get_tensor_profile_shape(self._input, 0)[2][0]
            self._graphs = GraphedBatches(
                self._prepared, input_name=self._input, shapes=self.output_shapes, most=int(most)
            )

    @property
    def graphs(self) -> GraphedBatches | None:
        """The CUDA graphs recorded here; None if the library records them itself, or without graphs."""
        return self._graphs

    @property
    def device(self) -> Device:
        return self._device

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return self._outputs

    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        """As ``DeviceRuntime.output_shapes``. Raises ``ValueError`` for an input that the engine was not built for."""
        with self._turn:
            if not self._context.set_input_shape(self._input, shape):
                least, _, most = self._engine.get_tensor_profile_shape(self._input, 0)
                raise ValueError(f"the input must be between {list(least)} and {list(most)}, got {list(shape)}")
            return {name: tuple(map(int, self._context.get_tensor_shape(name))) for name in self._outputs}

    def run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> None:
        with self._turn:
            self._run_on(stream, tensor, outputs)

    def _run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> None:
        shapes = self.output_shapes(tensor.shape)
        require_tensors(self._device, tensor, outputs, shapes)
        if self._graphs is not None and self._graphs.run_on(stream, tensor, outputs):
            return
        # Every output needs memory, requested or not.
        unasked = {name: Tensor(shapes[name], "float32", stream) for name in shapes if name not in outputs}
        _bind(self._context, {self._input: tensor, **outputs, **unasked})
        _execute(self._context, stream)
        for each in unasked.values():
            each.wipe(stream)

    def _prepared(self, tensors: Mapping[str, Tensor]) -> Enqueue:
        """A function that queues the network for these tensors, in an execution context of its own."""
        context = _context(self._trt, self._engine, None)
        shape = tensors[self._input].shape
        if not context.set_input_shape(self._input, shape):
            raise CudaError(f"TensorRT rejects an input of {list(shape)}, which it accepted before")
        _bind(context, tensors)
        return partial(_execute, context)


def _bind(context: _Context, tensors: Mapping[str, Tensor]) -> None:
    for name, each in tensors.items():
        if not context.set_tensor_address(name, each.pointer):
            raise CudaError(f"TensorRT rejects {each.pointer:#x} for {name!r}")


def _execute(context: _Context, stream: Stream) -> None:
    if not context.execute_async_v3(stream.handle):
        raise CudaError("TensorRT could not queue the network: the reason is in the process's log")


def open_tensorrt(
    model: Model,
    *,
    library: str = "tensorrt",
    precision: Precision = "fp16",
    side_px: int | None = None,
    most: int = 32,
    graphs: bool = True,
    cache: EngineCache | None = None,
    progress: BuildProgress | None = None,
) -> TensorRtRuntime:
    """``model`` in TensorRT or TensorRT-RTX on the current GPU. The first time, its engine is built, for minutes.

    An engine whose outputs disagree with the network's in float32 is refused, every time it is opened. ``side_px`` is
    the long side of a detector's input, ``most`` the largest batch; ``graphs=False`` queues every batch individually
    instead of replaying CUDA graphs. Raises ``ConfigError`` if the library is not installed, ``CudaError`` without a
    device, ``ModelError`` as ``engine_of`` does.
    """
    trt = open_library(library)
    ops.require_device("cuda")
    profile = profile_of(model.manifest, side_px=side_px, most=most)
    engine = engine_of(
        trt,
        model,
        profile,
        target=str(current_gpu()),
        precision=precision,
        cache=cache or open_engine_cache(),
        progress=progress,
    )
    opened = TensorRtRuntime(trt, engine, graphs=graphs)
    pictures = synthetic_pictures(model.manifest, height=profile.usual[2], width=profile.usual[3])[: profile.most[0]]
    require_agreement(model, open_onnx(model), opened, pictures, what=f"the {precision} engine")
    return opened


def _context(trt: ModuleType, engine: _Engine, strategy: object | None) -> _Context:
    """An execution context; TensorRT-RTX records CUDA graphs itself, once a shape is ready."""
    if strategy is None:
        context = engine.create_execution_context()
    else:
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = strategy
        context = engine.create_execution_context(config)
    if context is None:
        raise CudaError(
            f"{trt.__name__} {trt.__version__} cannot create an execution context: is there enough GPU memory?"
        )
    return context


def _strategy(trt: ModuleType) -> object | None:
    """The setting for the library to record CUDA graphs itself; None if it cannot."""
    strategy = getattr(trt, "CudaGraphStrategy", None)
    return None if strategy is None else strategy.WHOLE_GRAPH_CAPTURE
