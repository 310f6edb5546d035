"""Which runtime runs a network: chosen by name, or the fastest here with the reason said; never by falling back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

from pylfr import ops
from pylfr.errors import ConfigError, CudaError
from pylfr.models.store import Model
from pylfr.protocols import DeviceRuntime, Runtime
from pylfr.runtimes.chunked import ChunkedRuntime, DeviceInParts, beside_on_cpu
from pylfr.runtimes.onnx import open_onnx
from pylfr.types import Arithmetic, Device

RuntimeName = Literal["onnx", "openvino", "openvino-bf16", "tensorrt", "tensorrt-rtx", "torch"]

# The extra of pylfr that brings a runtime, and the modules that it needs.
_NEEDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "openvino": ("openvino", ("openvino",)),
    "openvino-bf16": ("openvino", ("openvino",)),
    "torch": ("torch", ("torch", "onnx")),
}

# What each computes a network in. Runtimes of one arithmetic agree within what the tests allow, others need not.
_ARITHMETIC: Mapping[str, Arithmetic] = {
    "onnx": "float32",
    "openvino": "float32",
    "openvino-bf16": "bfloat16",
    "tensorrt": "float16",
    "tensorrt-rtx": "float16",
    "torch": "float32",
}

# TensorRT builds an engine for batches up to a size.
_TENSORRT = ("tensorrt", "tensorrt-rtx")
_TENSORRT_BATCH = 32

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeChoice:
    """A runtime by name, and why it is that one: for people, so that a choice is never silent."""

    name: str
    reason: str

    @property
    def arithmetic(self) -> Arithmetic:
        """What it computes in."""
        return _ARITHMETIC[self.name]


def arithmetic_of(runtime: str) -> Arithmetic | None:
    """What the runtime of that name computes in; None for ``auto``, which is yet to be chosen, and unknown names."""
    return _ARITHMETIC.get(runtime)


def choose_runtime(runtime: str, *, device: Device = "cpu", arithmetic: Arithmetic | None = None) -> RuntimeChoice:
    """The runtime of that name; for ``auto`` the fastest that is known to keep the accuracy on this machine.

    Where ``arithmetic`` is given, as a calibration certificate does, ``auto`` takes one that computes in it.
    Raises ``ConfigError`` for an unknown name, a runtime that is not installed, or an arithmetic that none here has,
    ``CudaError`` where ``auto`` is to run on a device that cannot be had.
    """
    names = get_args(RuntimeName)
    if runtime == "auto":
        choice = _fastest(device)
        return choice if arithmetic in (None, choice.arithmetic) else _certified(arithmetic, device, choice)
    if runtime not in names:
        raise ConfigError(f"runtime must be one of auto, {', '.join(names)}, got {runtime!r}")
    extra, modules = _NEEDED.get(runtime, ("", ()))
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"runtime {runtime!r} needs {' and '.join(missing)}, which this Python has not: install pylfr[{extra}], or "
            "use runtime 'onnx'"
        )
    return RuntimeChoice(name=runtime, reason="it was asked for by name")


def open_runtime(
    model: Model,
    *,
    runtime: str = "onnx",
    device: Device = "cpu",
    threads: int = 0,
    side_px: int | None = None,
    graphs: bool = True,
) -> Runtime:
    """The runtime of that name (see ``choose_runtime``) with ``model`` loaded on ``device``.

    Raises ``ConfigError`` for an unknown name or a runtime that is not installed, and ``CudaError`` where the device
    cannot be had. ``threads`` is for the CPU; PyTorch's threads belong to the process;
    ``side_px``, the longest side of a detector's picture, for the runtimes that build for certain sizes;
    ``graphs``, whether batches on a GPU go through CUDA graphs, for TensorRT and PyTorch.
    """
    if device not in get_args(Device):
        raise ValueError(f"device must be cpu or cuda, got {device!r}")
    choice = choose_runtime(runtime, device=device)
    opened = _open(model, choice.name, device, threads=threads, side_px=side_px, graphs=graphs)
    log.info("%s runs in %s on %s: %s", model.manifest.name, choice.name, device, choice.reason)
    max_batch = model.manifest.pixels.max_batch
    if choice.name in _TENSORRT:
        max_batch = min(max_batch or _TENSORRT_BATCH, _TENSORRT_BATCH)
    beside = beside_on_cpu(threads) if device == "cpu" and choice.name != "torch" else None
    if max_batch is None and beside is None:
        return opened
    if isinstance(opened, DeviceRuntime):
        return DeviceInParts(opened, opened, max_batch=max_batch, beside=beside)
    return ChunkedRuntime(opened, max_batch=max_batch, beside=beside)


def open_device_runtime(
    model: Model, *, runtime: str, device: Device, side_px: int | None = None, graphs: bool = True
) -> DeviceRuntime:
    """As ``open_runtime``. Raises ``ConfigError`` also for one that takes its pictures from the host."""
    opened = open_runtime(model, runtime=runtime, device=device, side_px=side_px, graphs=graphs)
    if not isinstance(opened, DeviceRuntime):
        raise ConfigError(
            f"runtime {runtime!r} takes its pictures from the host: with device {device!r} name one that runs on the "
            "device's own memory"
        )
    return opened


def _open(model: Model, name: str, device: Device, *, threads: int, side_px: int | None, graphs: bool) -> Runtime:
    # Extras are imported only by those who ask for them.
    if name in _TENSORRT:
        if device != "cuda":
            raise ConfigError(f"runtime {name!r} runs on device 'cuda' alone, got device {device!r}")
        from pylfr.runtimes.tensorrt.runtime import open_tensorrt

        return open_tensorrt(model, library=name, side_px=side_px, most=_TENSORRT_BATCH, graphs=graphs)
    if name == "torch":
        from pylfr.runtimes.torch.runtime import open_torch

        return open_torch(model, device=device, graphs=graphs)
    if name == "onnx":
        return open_onnx(model, device=device, threads=1)
    if device != "cpu":
        raise CudaError(f"the {name} runtime runs on the CPU only, got device {device!r}: use device 'cpu'")
    from pylfr.runtimes.openvino import open_openvino

    return open_openvino(model, precision="bf16" if name == "openvino-bf16" else "f32", streams=beside_on_cpu(threads))


def _fastest(device: Device) -> RuntimeChoice:
    ops.require_device(device)
    if device != "cpu":
        # TensorRT builds for minutes and keeps what it built: it is asked for by name.
        if all(find_spec(name) is not None for name in ("torch", "onnx")):
            return RuntimeChoice(name="torch", reason="PyTorch is installed, and TensorRT is asked for by name")
        return RuntimeChoice(name="onnx", reason="PyTorch is not installed, and TensorRT is asked for by name")
    if find_spec("openvino") is None:
        return RuntimeChoice(name="onnx", reason="OpenVINO is not installed (pylfr[openvino])")
    if not _bf16_is_native():
        return RuntimeChoice(name="onnx", reason="this processor has no bfloat16, and in float32 OpenVINO gains little")
    return RuntimeChoice(name="openvino-bf16", reason="OpenVINO is installed and this processor has bfloat16")


def _certified(arithmetic: Arithmetic, device: Device, fastest: RuntimeChoice) -> RuntimeChoice:
    """A runtime of the arithmetic that a certificate rests on, where the fastest has another."""
    if arithmetic == "float32":
        return RuntimeChoice(name="onnx", reason=f"the calibration certificate is for float32, not {fastest.name}")
    raise ConfigError(
        f"the calibration certificate is for {arithmetic}; what runs here by itself on device {device!r} is "
        f"{fastest.name} in {fastest.arithmetic} ({fastest.reason}): name a runtime of {arithmetic} in [models], or "
        "calibrate again here"
    )


@cache
def _bf16_is_native() -> bool:
    from pylfr.runtimes.openvino import bf16_is_native

    return bf16_is_native()
