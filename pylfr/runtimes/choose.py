"""Which runtime runs a network: chosen by name, never by falling back."""

from __future__ import annotations

from typing import Literal, get_args

from pylfr import ops
from pylfr.errors import ConfigError, CudaError
from pylfr.models.store import Model
from pylfr.protocols import Runtime
from pylfr.runtimes.onnx import open_onnx
from pylfr.runtimes.parts import InParts
from pylfr.types import Device

RuntimeName = Literal["onnx"]


def open_runtime(model: Model, *, runtime: str = "onnx", device: Device = "cpu", threads: int = 0) -> Runtime:
    """The runtime of that name with ``model`` loaded on ``device``.

    Raises ``ConfigError`` for an unknown name and ``CudaError`` where the device cannot be had.
    """
    if runtime not in get_args(RuntimeName):
        raise ConfigError(f"runtime must be one of {', '.join(get_args(RuntimeName))}, got {runtime!r}")
    ops.require_device(device)
    if device != "cpu":
        raise CudaError(f"the {runtime} runtime runs on the CPU only, got device {device!r}: use device 'cpu'")
    opened = open_onnx(model, threads=threads)
    max_batch = model.manifest.pixels.max_batch
    return opened if max_batch is None else InParts(opened, max_batch=max_batch)
