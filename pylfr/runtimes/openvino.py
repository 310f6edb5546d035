"""OpenVINO on the CPU, in float32 or bfloat16: the fast runtime where the processor knows bfloat16. Extra ``openvino``.

The package brings a telemetry module for its conversion tools; nothing here calls those, and nothing is sent.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Literal

import numpy as np
import openvino as ov

from pylfr.errors import ConfigError, ModelError
from pylfr.models.store import Model, read_verified
from pylfr.types import Device, Float32

Precision = Literal["f32", "bf16"]

# Whole pictures one at a time: a batch of them is no faster on a CPU, and its activations are as many times larger.
_CROP_PIXELS = 256 * 256
_CROPS_A_CALL = 16
# Streams of one thread each never wait for each other: that costs a picture less than all threads on one picture do,
# the more so where a decoder takes a core away meanwhile. Each has activations of its own, so not too many of them.
_MOST_STREAMS = 8


def bf16_is_native() -> bool:
    """Whether this processor multiplies bfloat16 itself."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoRuntime:
    """Runs one verified ONNX network on the CPU, parts of a batch beside each other.

    Safe for concurrent calls, which take turns.
    """

    def __init__(
        self, network: ov.CompiledModel, *, outputs: Mapping[str, tuple[int | None, ...]], streams: int
    ) -> None:
        self._network = network
        self._requests = [network.create_infer_request() for _ in range(streams)]
        self._outputs = outputs
        self._turn = threading.Lock()

    @property
    def device(self) -> Device:
        return "cpu"

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return self._outputs

    def run(self, tensor: Float32) -> dict[str, Float32]:
        parts = _parts(tensor, len(self._requests))
        kept: list[list[Float32]] = [[] for _ in parts]
        with self._turn:
            for first in range(0, len(parts), len(self._requests)):
                beside = range(first, min(first + len(self._requests), len(parts)))
                running = [(place, self._requests[place - first]) for place in beside]
                for place, request in running:
                    request.start_async({0: np.ascontiguousarray(parts[place])}, share_inputs=True)
                for _, request in running:
                    request.wait()
                for place, request in running:
                    kept[place] = [np.array(output.data, np.float32, copy=True) for output in request.output_tensors]
        if len(kept) == 1:
            return dict(zip(self._outputs, kept[0], strict=True))
        return {name: np.concatenate([part[place] for part in kept]) for place, name in enumerate(self._outputs)}

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        if out.dtype != np.float32 or not out.flags.c_contiguous:
            raise TypeError(f"out must be C-contiguous float32, got {out.dtype.name}; pass a slice of whole rows")
        wanted = (len(tensor), *self._outputs[output][1:])
        if out.ndim != len(wanted) or any(want not in (None, got) for want, got in zip(wanted, out.shape, strict=True)):
            raise ValueError(f"out must be float32 {list(wanted)}, got {list(out.shape)}")
        place = list(self._outputs).index(output)
        # Requests of its own, gone at the end: the shared ones must not keep a hold on memory that was lent.
        running: list[ov.InferRequest] = []
        began = 0
        for part in _parts(tensor, len(self._requests)):
            request = self._network.create_infer_request()
            request.set_input_tensor(ov.Tensor(np.ascontiguousarray(part), shared_memory=True))
            request.set_output_tensor(place, ov.Tensor(out[began : began + len(part)], shared_memory=True))
            request.start_async()
            running.append(request)
            began += len(part)
        for request in running:
            request.wait()


def open_openvino(model: Model, *, precision: Precision, threads: int = 0) -> OpenVinoRuntime:
    """Load ``model`` for the CPU with that many threads (0: as many as there are cores that this process may use).

    Raises ``ConfigError`` for bfloat16 on a processor that would only imitate it, and ``ModelError`` for a file that
    was altered or that OpenVINO cannot run.
    """
    core = ov.Core()
    threads = threads or len(os.sched_getaffinity(0))
    streams = min(threads, _MOST_STREAMS)
    if precision == "bf16" and not bf16_is_native():
        raise ConfigError("runtime 'openvino-bf16' needs a processor with bfloat16, this one has none: use 'openvino'")
    content = read_verified(model)
    try:
        network = core.read_model(content, b"")
        if len(network.inputs) != 1 or network.inputs[0].partial_shape.rank.get_length() != 4:
            raise ModelError(f"{model.path} must take one tensor [B, 3, H, W], it takes {network.inputs}")
        # Named before it is compiled: that adds names of its own.
        outputs: dict[str, tuple[int | None, ...]] = {
            output.get_any_name(): tuple(side.get_length() if side.is_static else None for side in output.partial_shape)
            for output in network.outputs
        }
        compiled = core.compile_model(
            network,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": streams,
                # Threads that are tied to a core would wait there for the decoder, which needs the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
    except RuntimeError as error:
        raise ModelError(f"{model.path} cannot be run by OpenVINO {ov.__version__}: {error}") from error
    return OpenVinoRuntime(compiled, outputs=outputs, streams=streams)


def _parts(tensor: Float32, streams: int) -> list[Float32]:
    """Whole pictures one by one, crops in as many equal parts as there are streams; of an empty batch one part."""
    most = 1
    if tensor.shape[-1] * tensor.shape[-2] <= _CROP_PIXELS:
        most = min(_CROPS_A_CALL, max(1, -(-len(tensor) // streams)))
    return [tensor[start : start + most] for start in range(0, max(1, len(tensor)), most)]
