"""Which runtime runs a network: chosen by name, with the reason logged, never by falling back."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Literal, get_args

from pylfr.errors import ConfigError
from pylfr.models.store import Model
from pylfr.protocols import DeviceRuntime, Runtime
from pylfr.runtimes.onnx import open_onnx
from pylfr.runtimes.parts import DeviceInParts, InParts
from pylfr.types import Device

RuntimeName = Literal["onnx", "tensorrt", "tensorrt-rtx", "torch"]

log = logging.getLogger(__name__)


def open_runtime(
    model: Model, *, runtime: str = "onnx", device: Device = "cpu", threads: int = 0, side_px: int | None = None
) -> Runtime:
    """The runtime of that name with ``model`` loaded on ``device``.

    Raises ``ConfigError`` for an unknown name or a runtime that is not installed, and ``CudaError`` where the device
    cannot be had. ``threads`` is for onnxruntime; PyTorch's threads belong to the process;
    ``side_px``, the longest side of a detector's picture, for the runtimes that build for certain sizes.
    """
    if runtime not in get_args(RuntimeName):
        raise ConfigError(f"runtime must be one of {', '.join(get_args(RuntimeName))}, got {runtime!r}")
    if runtime == "torch":
        opened = _open_torch(model, device)
    elif runtime in ("tensorrt", "tensorrt-rtx"):
        if device != "cuda":
            raise ConfigError(f"runtime {runtime!r} runs on device 'cuda' alone, got device {device!r}")
        from pylfr.runtimes.tensorrt import open_tensorrt  # the extra is imported only by those who ask for it

        opened = open_tensorrt(model, library=runtime, side_px=side_px)
    else:
        opened = open_onnx(model, device=device, threads=threads)
    log.info("%s runs in %s on %s: it was asked for by name", model.manifest.name, runtime, device)
    max_batch = model.manifest.pixels.max_batch
    if max_batch is None:
        return opened
    if isinstance(opened, DeviceRuntime):
        return DeviceInParts(opened, opened, max_batch=max_batch)
    return InParts(opened, max_batch=max_batch)


def _open_torch(model: Model, device: Device) -> Runtime:
    if device not in get_args(Device):
        raise ValueError(f"device must be cpu or cuda, got {device!r}")
    missing = [name for name in ("torch", "onnx") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"runtime 'torch' needs {' and '.join(missing)}, which this Python has not: install pylfr[torch], or use "
            "runtime 'onnx'"
        )
    from pylfr.runtimes.torch import open_torch  # the extra is imported only by those who ask for it

    return open_torch(model, device=device)
