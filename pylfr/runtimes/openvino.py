"""OpenVINO on the CPU, in float32 or bfloat16: the fast runtime on processors with bfloat16. Extra ``openvino``.

The package brings a telemetry module that sends an event on import: ``pylfr.runtimes.telemetry`` keeps it out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from queue import LifoQueue
from typing import Literal

import numpy as np
import openvino as ov

from pylfr.errors import ConfigError, ModelError
from pylfr.models.store import Model, read_verified
from pylfr.types import Device, Float32

log = logging.getLogger(__name__)

Precision = Literal["f32", "bf16"]

# Compiled for one shape of its input a small network takes less processor time than for any: an embedder a fifth to two
# fifths, a detector an eighth, and half where sizes take turns, as what has just had another shape is prepared anew.
# Each takes memory for itself (10 to 50 MB): larger networks are compiled once, and so is what comes after ``shapes``.
_LARGEST_BYTES = 16_000_000

# When two threads pass OpenVINO (2026.4) its first arrays at once, they can deadlock: one holds the interpreter's lock
# and waits for a table that the other is building without it. Here one thread builds it, while this is imported.
ov.Tensor(np.zeros(1, np.float32), shared_memory=True).data.copy()


def bf16_is_native() -> bool:
    """Whether this processor has native bfloat16."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class _Compiled:
    """A compiled network, and its requests that nobody uses at the moment: as many as it has streams."""

    def __init__(self, network: ov.CompiledModel, *, streams: int) -> None:
        self.network = network
        self.free: LifoQueue[ov.InferRequest] = LifoQueue()
        for _ in range(streams):
            self.free.put(network.create_infer_request())


class OpenVinoRuntime:
    """Runs one verified ONNX network on the CPU. Safe for concurrent calls, ``streams`` of them at once.

    ``compiled`` gives the network for one shape of its input, or for any (None); the first call with a shape waits for
    it, a fifth of a second of a small network. ``shapes`` is how many may be compiled.
    """

    def __init__(
        self,
        compiled: Callable[[tuple[int, ...] | None], ov.CompiledModel],
        *,
        outputs: Mapping[str, tuple[int | None, ...]],
        streams: int,
        shapes: int,
    ) -> None:
        self._compile = compiled
        self._outputs = outputs
        self._streams = streams
        self._shapes = shapes
        self._lock = threading.Lock()
        self._for_any = _Compiled(compiled(None), streams=streams)
        self._by_shape: dict[tuple[int, ...], _Compiled] = {}

    @property
    def device(self) -> Device:
        return "cpu"

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return self._outputs

    def run(self, tensor: Float32) -> dict[str, Float32]:
        compiled = self._compiled_for(tensor.shape)
        request = compiled.free.get()
        try:
            request.infer({0: np.ascontiguousarray(tensor)}, share_inputs=True)
            results = [np.array(output.data, np.float32, copy=True) for output in request.output_tensors]
        finally:
            compiled.free.put(request)
        return dict(zip(self._outputs, results, strict=True))

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        if out.dtype != np.float32 or not out.flags.c_contiguous:
            raise TypeError(f"out must be C-contiguous float32, got {out.dtype.name}; pass a slice of whole rows")
        wanted = (len(tensor), *self._outputs[output][1:])
        if out.ndim != len(wanted) or any(want not in (None, got) for want, got in zip(wanted, out.shape, strict=True)):
            raise ValueError(f"out must be float32 {list(wanted)}, got {list(out.shape)}")
        # A request for this call alone: shared ones would retain a reference to memory that they do not own.
        request = self._compiled_for(tensor.shape).network.create_infer_request()
        request.set_input_tensor(ov.Tensor(np.ascontiguousarray(tensor), shared_memory=True))
        request.set_output_tensor(list(self._outputs).index(output), ov.Tensor(out, shared_memory=True))
        request.infer()

    def _compiled_for(self, shape: tuple[int, ...]) -> _Compiled:
        """The network for inputs of that shape; the one for any shape where there are enough of them."""
        with self._lock:
            known = self._by_shape.get(shape)
            if known is None and shape[0] and len(self._by_shape) < self._shapes:
                try:
                    known = _Compiled(self._compile(shape), streams=self._streams)
                except RuntimeError as error:
                    # A shape that the network itself does not allow fails when it is run, with OpenVINO's own words.
                    log.debug("not compiled for %s: %s", shape, error)
                    known = self._for_any
                self._by_shape[shape] = known
            return known or self._for_any


def open_openvino(model: Model, *, precision: Precision, streams: int = 1, shapes: int = 0) -> OpenVinoRuntime:
    """Load ``model`` for the CPU; ``streams`` calls run at once, each on its own thread.

    A small network is compiled for each of the first ``shapes`` shapes of its input. Raises ``ConfigError`` for
    bfloat16 on a processor that would only emulate it, and ``ModelError`` for a file that was altered or that OpenVINO
    cannot run.
    """
    core = ov.Core()
    if precision == "bf16" and not bf16_is_native():
        raise ConfigError(
            "runtime 'openvino-bf16' needs a processor with bfloat16, which this one lacks: use 'openvino'"
        )
    content = read_verified(model)
    try:
        network = core.read_model(content, b"")
        if len(network.inputs) != 1 or network.inputs[0].partial_shape.rank.get_length() != 4:
            raise ModelError(f"{model.path} must take one tensor [B, 3, H, W], it takes {network.inputs}")
        # Named before compilation, which adds names of its own.
        outputs: dict[str, tuple[int | None, ...]] = {
            output.get_any_name(): tuple(side.get_length() if side.is_static else None for side in output.partial_shape)
            for output in network.outputs
        }
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": streams,
            "NUM_STREAMS": streams,
            # Pinned threads would wait on their core for the decoder, which needs the same cores.
            "ENABLE_CPU_PINNING": False,
        }

        def compiled(shape: tuple[int, ...] | None) -> ov.CompiledModel:
            if shape is None:
                return core.compile_model(network, "CPU", settings)
            fixed = network.clone()
            fixed.reshape({fixed.inputs[0]: list(shape)})
            return core.compile_model(fixed, "CPU", settings)

        return OpenVinoRuntime(
            compiled,
            outputs=outputs,
            streams=streams,
            shapes=shapes if len(content) <= _LARGEST_BYTES else 0,
        )
    except RuntimeError as error:
        raise ModelError(f"{model.path} cannot be run by OpenVINO {ov.__version__}: {error}") from error
