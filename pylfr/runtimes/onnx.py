"""onnxruntime: on the CPU with the base install, on CUDA with its GPU build."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import onnxruntime as ort  # noqa: TID251 - the one place that talks to onnxruntime

from pylfr import ops
from pylfr.errors import CudaError, ModelError
from pylfr.models.prelu import spell_out_prelu
from pylfr.models.store import Model, read_verified
from pylfr.ops import Stream, Tensor
from pylfr.runtimes.host_adapter import require_tensors
from pylfr.runtimes.shape_probe import ShapeProbe
from pylfr.types import Device, Float32

# The environment has switched it off already (pylfr.runtimes.telemetry); this is for builds that know only the call.
ort.disable_telemetry_events()

_PROVIDERS: Mapping[Device, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime:
    """Runs one verified ONNX network. Safe for concurrent calls; on CUDA they take turns.

    On CUDA the network has a stream of its own, ordered with the caller's by events.
    """

    def __init__(self, session: ort.InferenceSession, *, stream: Stream | None = None) -> None:
        self._session = session
        self._stream = stream
        self._turn: AbstractContextManager[object] = nullcontext() if stream is None else threading.RLock()
        self._device: Device = stream.device if stream is not None else "cpu"
        self._input = session.get_inputs()[0].name
        self._outputs: dict[str, tuple[int | None, ...]] = {
            output.name: tuple(side if isinstance(side, int) else None for side in output.shape)
            for output in session.get_outputs()
        }
        self._shapes = ShapeProbe(self.run)

    @property
    def device(self) -> Device:
        return self._device

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return self._outputs

    def run(self, tensor: Float32) -> dict[str, Float32]:
        with self._turn:
            results = self._session.run(list(self._outputs), {self._input: tensor})
        return dict(zip(self._outputs, results, strict=True))

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        if out.dtype != np.float32 or not out.flags.c_contiguous:
            raise TypeError(f"out must be C-contiguous float32, got {out.dtype.name}; pass a slice of whole rows")
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input, np.ascontiguousarray(tensor))
        binding.bind_output(output, "cpu", 0, np.float32, list(out.shape), out.ctypes.data)
        with self._turn:
            self._session.run_with_iobinding(binding)

    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        return self._shapes.of(shape)

    def run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> None:
        """As ``DeviceRuntime.run_on``: the network reads and writes the tensors' own memory."""
        require_tensors(self._device, tensor, outputs, self.output_shapes(tensor.shape))
        binding = self._session.io_binding()
        binding.bind_input(self._input, self._device, 0, np.float32, list(tensor.shape), tensor.pointer)
        for name, output in outputs.items():
            binding.bind_output(name, self._device, 0, np.float32, list(output.shape), output.pointer)
        if self._stream is None:
            self._session.run_with_iobinding(binding)
            return
        options = ort.RunOptions()
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        with self._turn:
            self._stream.wait(stream.record())
            self._session.run_with_iobinding(binding, options)
            stream.wait(self._stream.record())


def open_onnx(model: Model, *, device: Device = "cpu", threads: int = 0) -> OnnxRuntime:
    """Load ``model`` for the CPU with that many threads (0: one per core), or for CUDA.

    The bytes that run are those checked against the manifest's sha256, so a file swapped after its check is refused, as
    are external weights and custom operators (``read_verified``). Raises ``ModelError``, and ``CudaError`` if this
    onnxruntime or this machine has no CUDA: it never runs on the CPU instead.
    """
    content = read_verified(model)
    if device == "cpu":
        content = spell_out_prelu(content)
    return open_onnx_bytes(content, name=str(model.path), device=device, threads=threads)


def open_onnx_bytes(content: bytes, *, name: str, device: Device = "cpu", threads: int = 0) -> OnnxRuntime:
    """As ``open_onnx``, for a network in memory that the caller has verified; ``name`` is for messages."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Waiting threads must not spin: decoding needs the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    provider, stream = _PROVIDERS[device], None
    settings: dict[str, str] = {}
    if device == "cuda":
        if provider not in ort.get_available_providers():
            offered = ", ".join(ort.get_available_providers())
            raise CudaError(
                f"device is 'cuda', but this onnxruntime {ort.__version__} offers only {offered}: "
                "install pylfr[onnx-gpu] in place of onnxruntime, or use runtime 'tensorrt' or 'torch'"
            )
        ops.require_device(device)
        stream = Stream(device)
        settings = {"user_compute_stream": str(stream.handle)}
    try:
        session = ort.InferenceSession(content, options, providers=[(provider, settings)])
    except Exception as error:  # onnxruntime's exceptions share no base
        raise ModelError(f"{name} cannot be run by onnxruntime {ort.__version__}: {error}") from error
    # If a provider cannot start, onnxruntime warns and uses the CPU.
    if provider not in session.get_providers():
        raise CudaError(
            f"onnxruntime {ort.__version__} could not start CUDA: are matching versions of CUDA and cuDNN installed?"
        )
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = [list(each.shape) for each in inputs]
        raise ModelError(f"{name} must take one tensor [B, 3, H, W], it takes {shapes}")
    return OnnxRuntime(session, stream=stream)
