"""onnxruntime on the CPU: the runtime that needs nothing but the base install."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import onnxruntime as ort  # noqa: TID251 - the one place that talks to onnxruntime

from pylfr.errors import ModelError
from pylfr.models.store import Model
from pylfr.types import Device, Float32


class OnnxRuntime:
    """Runs one verified ONNX network on the CPU. Safe for concurrent calls."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._outputs: dict[str, tuple[int | None, ...]] = {
            output.name: tuple(side if isinstance(side, int) else None for side in output.shape)
            for output in session.get_outputs()
        }

    @property
    def device(self) -> Device:
        return "cpu"

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return self._outputs

    def run(self, tensor: Float32) -> dict[str, Float32]:
        results = self._session.run(list(self._outputs), {self._input: tensor})
        return dict(zip(self._outputs, results, strict=True))

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        if out.dtype != np.float32 or not out.flags.c_contiguous:
            raise TypeError(f"out must be C-contiguous float32, got {out.dtype.name}; pass a slice of whole rows")
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input, np.ascontiguousarray(tensor))
        binding.bind_output(output, "cpu", 0, np.float32, list(out.shape), out.ctypes.data)
        self._session.run_with_iobinding(binding)


def open_onnx(model: Model, *, threads: int = 0) -> OnnxRuntime:
    """Load ``model`` for the CPU with that many threads (0: as many as there are cores).

    The very bytes that are run are checked against the manifest's sha256, so external data and a file swapped after
    its check are both refused. Raises ``ModelError``.
    """
    content = model.path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != model.sha256:
        raise ModelError(f"{model.path} must have sha256 {model.sha256}, got {digest}: it was altered, get it again")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Waiting threads must not spin: decoding needs the same cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that share no base
        raise ModelError(f"{model.path} cannot be run by onnxruntime {ort.__version__}: {error}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = [list(each.shape) for each in inputs]
        raise ModelError(f"{model.path} must take one tensor [B, 3, H, W], it takes {shapes}")
    return OnnxRuntime(session)
