"""TensorRT 10, TensorRT 11 or TensorRT-RTX, by module name: an engine run on the caller's memory and stream.

Nothing is waited for. Batches go through CUDA graphs: TensorRT-RTX is asked to record each shape by itself, for
TensorRT ``pylfr.runtimes.cuda_graphs`` does, which copies a batch on the device; without graphs nothing is copied. Each
graph has an execution context of its own, as NVIDIA advises: one that is given another shape makes its graph invalid.
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
from pylfr.runtimes.fp16 import made_up_pictures, require_agreement
from pylfr.runtimes.host_adapter import HostAdapter, require_tensors
from pylfr.runtimes.onnx import open_onnx
from pylfr.runtimes.tensorrt.build import BuildProgress, Precision, engine_of, open_library, profile_of
from pylfr.runtimes.tensorrt.device import current_gpu
from pylfr.runtimes.tensorrt.engine_cache import EngineCache, open_engine_cache
from pylfr.types import Device


class _Context(Protocol):
    """What is used of an execution context."""

    def set_input_shape(self, name: str, shape: tuple[int, ...], /) -> bool: ...

    def get_tensor_shape(self, name: str, /) -> Sequence[int]: ...

    def set_tensor_address(self, name: str, memory: int, /) -> bool: ...

    def execute_async_v3(self, stream_handle: int, /) -> bool: ...


class _RuntimeConfig(Protocol):
    cuda_graph_strategy: object


class _Engine(Protocol):
    """What is used of an engine."""

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
        """``engine`` must come out of the cache, which vouches for it: to load one is to run its code."""
        super().__init__()
        self._device: Device = device
        self._logger = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._logger)
        loaded: _Engine | None = self._runtime.deserialize_cuda_engine(engine)
        if loaded is None:
            raise ModelError(f"{trt.__name__} {trt.__version__} cannot load this engine here: build it on this machine")
        self._engine = loaded
        self._trt = trt
        # Asked for shapes, and run where no graph is: never recorded.
        self._context = _context(trt, loaded, _strategy(trt) if graphs else None)
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        if len(inputs) != 1:
            raise ModelError(f"an engine must take one tensor [B, 3, H, W], this takes {len(inputs)}")
        self._input: str = inputs[0]
        self._outputs: dict[str, tuple[int | None, ...]] = {
            name: tuple(None if side < 0 else int(side) for side in self._engine.get_tensor_shape(name))
            for name in names
            if name != self._input
        }
        for name in names:
            if self._engine.get_tensor_dtype(name) != trt.float32:
                raise ModelError(f"an engine must read and write float32, {name!r} is not: export it with such ends")
        self._graphs: GraphedBatches | None = None
        if graphs and _strategy(trt) is None:
            most = self._engine.get_tensor_profile_shape(self._input, 0)[2][0]
            self._graphs = GraphedBatches(
                self._prepared, input_name=self._input, shapes=self.output_shapes, most=int(most)
            )

    @property
    def graphs(self) -> GraphedBatches | None:
        """The CUDA graphs recorded here; None where the library records them itself, or none were wanted."""
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
        # Every output needs a place, also one that nobody asked for.
        unasked = {name: Tensor(shapes[name], "float32", stream) for name in shapes if name not in outputs}
        _bind(self._context, {self._input: tensor, **outputs, **unasked})
        _execute(self._context, stream)
        for each in unasked.values():
            each.wipe(stream)

    def _prepared(self, tensors: Mapping[str, Tensor]) -> Enqueue:
        """What queues the network for these tensors, in a context that serves nothing else."""
        context = _context(self._trt, self._engine, None)
        shape = tensors[self._input].shape
        if not context.set_input_shape(self._input, shape):
            raise CudaError(f"TensorRT does not take an input of {list(shape)}, which it took before")
        _bind(context, tensors)
        return partial(_execute, context)


def _bind(context: _Context, tensors: Mapping[str, Tensor]) -> None:
    for name, each in tensors.items():
        if not context.set_tensor_address(name, each.pointer):
            raise CudaError(f"TensorRT does not take {each.pointer:#x} for {name!r}")


def _execute(context: _Context, stream: Stream) -> None:
    if not context.execute_async_v3(stream.handle):
        raise CudaError("TensorRT could not queue the network: its reason is in the log of the process")


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
    """``model`` in TensorRT or TensorRT-RTX on the current GPU. The first time its engine is built: minutes.

    An engine that answers otherwise than the network does in float32 is refused, every time it is opened. ``side_px``
    is the longest side of a detector's picture, ``most`` the largest batch; ``graphs=False`` queues every batch anew
    in place of replaying CUDA graphs. Raises ``ConfigError`` where the library
    is not installed, ``CudaError`` without a device, ``ModelError`` as ``engine_of`` does.
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
    pictures = made_up_pictures(model.manifest, height=profile.usual[2], width=profile.usual[3])[: profile.most[0]]
    require_agreement(model, open_onnx(model), opened, pictures, what=f"the {precision} engine")
    return opened


def _context(trt: ModuleType, engine: _Engine, strategy: object | None) -> _Context:
    """An execution context; TensorRT-RTX records CUDA graphs itself and knows when a shape is ready for it."""
    if strategy is None:
        context = engine.create_execution_context()
    else:
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = strategy
        context = engine.create_execution_context(config)
    if context is None:
        raise CudaError(f"{trt.__name__} {trt.__version__} cannot make an execution context: is memory left?")
    return context


def _strategy(trt: ModuleType) -> object | None:
    """How the library is told to record CUDA graphs by itself; None where it cannot."""
    strategy = getattr(trt, "CudaGraphStrategy", None)
    return None if strategy is None else strategy.WHOLE_GRAPH_CAPTURE
