"""Choosing the runtime of a network: by name, or the fastest on this machine with the reason; never by falling back."""

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
from pylfr.runtimes.chunked import CROPS_A_PART, ChunkedRuntime, DeviceInParts, beside_on_cpu
from pylfr.runtimes.onnx import open_onnx
from pylfr.types import Arithmetic, Device

RuntimeName = Literal["onnx", "openvino", "openvino-bf16", "tensorrt", "tensorrt-rtx", "torch"]

# The extra of pylfr that installs a runtime, and the modules that it needs.
_NEEDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "openvino": ("openvino", ("openvino",)),
    "openvino-bf16": ("openvino", ("openvino",)),
    "torch": ("torch", ("torch", "onnx")),
}

# The arithmetic of each. Runtimes of the same arithmetic agree within the tests' tolerance, others need not.
_ARITHMETIC: Mapping[str, Arithmetic] = {
    "onnx": "float32",
    "openvino": "float32",
    "openvino-bf16": "bfloat16",
    "tensorrt": "float16",
    "tensorrt-rtx": "float16",
    "torch": "float32",
}

# TensorRT builds an engine for a maximum batch.
_TENSORRT = ("tensorrt", "tensorrt-rtx")
_TENSORRT_BATCH = 32

# Sizes of pictures and of parts of them (``pylfr.faces.changed_regions``) that a detector is prepared for.
_DETECTOR_SHAPES = 24

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeChoice:
    """A runtime by name, and the reason for it, to be shown: a choice is never silent."""

    name: str
    reason: str

    @property
    def arithmetic(self) -> Arithmetic:
        """Its arithmetic."""
        return _ARITHMETIC[self.name]


def arithmetic_of(runtime: str) -> Arithmetic | None:
    """The arithmetic of the runtime of that name; None for ``auto``, which is not chosen yet, and unknown names."""
    return _ARITHMETIC.get(runtime)


def choose_runtime(runtime: str, *, device: Device = "cpu", arithmetic: Arithmetic | None = None) -> RuntimeChoice:
    """The runtime of that name; for ``auto`` the fastest on this machine that is known to preserve accuracy.

    With ``arithmetic``, as from a calibration certificate, ``auto`` takes a runtime of that arithmetic. Raises
    ``ConfigError`` for an unknown name, a runtime that is not installed, or an arithmetic that no installed runtime
    has, ``CudaError`` if ``device`` is not available.
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
            f"runtime {runtime!r} needs {' and '.join(missing)}, which is not installed: install pylfr[{extra}], or "
            "use runtime 'onnx'"
        )
    return RuntimeChoice(name=runtime, reason="named explicitly")


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

    ``threads`` is the number of CPU threads, 0 for one per core (PyTorch's belong to the process). ``side_px``, the
    long side of a detector's input, is for runtimes that build for fixed sizes; ``graphs`` is whether batches on a GPU
    go through CUDA graphs, for TensorRT and PyTorch. Raises ``ConfigError`` for an unknown name or a runtime that is
    not installed, and ``CudaError`` if the device is not available.
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
    # A detector's picture gives the same faces whatever is in the batch with it.
    is_detector = side_px is not None
    if isinstance(opened, DeviceRuntime):
        return DeviceInParts(opened, opened, max_batch=max_batch, beside=beside, one_by_one=is_detector)
    return ChunkedRuntime(opened, max_batch=max_batch, beside=beside, one_by_one=is_detector)


def open_device_runtime(
    model: Model, *, runtime: str, device: Device, side_px: int | None = None, graphs: bool = True
) -> DeviceRuntime:
    """As ``open_runtime``. Raises ``ConfigError`` also for a runtime that takes its input from the host."""
    opened = open_runtime(model, runtime=runtime, device=device, side_px=side_px, graphs=graphs)
    if not isinstance(opened, DeviceRuntime):
        raise ConfigError(
            f"runtime {runtime!r} takes its input from the host: with device {device!r} name one that runs on the "
            "device's memory"
        )
    return opened


def _open(model: Model, name: str, device: Device, *, threads: int, side_px: int | None, graphs: bool) -> Runtime:
    # Extras are imported only when they are used.
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

    return open_openvino(
        model,
        precision="bf16" if name == "openvino-bf16" else "f32",
        streams=beside_on_cpu(threads),
        shapes=CROPS_A_PART if side_px is None else _DETECTOR_SHAPES,
    )


def _fastest(device: Device) -> RuntimeChoice:
    ops.require_device(device)
    if device != "cpu":
        # TensorRT builds an engine for minutes, and stores it: only when it is named.
        if all(find_spec(name) is not None for name in ("torch", "onnx")):
            return RuntimeChoice(name="torch", reason="PyTorch is installed, and TensorRT is used only when named")
        return RuntimeChoice(name="onnx", reason="PyTorch is not installed, and TensorRT is used only when named")
    if find_spec("openvino") is None:
        return RuntimeChoice(name="onnx", reason="OpenVINO is not installed (pylfr[openvino])")
    if not _bf16_is_native():
        return RuntimeChoice(name="onnx", reason="this processor has no bfloat16; in float32 OpenVINO gains little")
    return RuntimeChoice(name="openvino-bf16", reason="OpenVINO is installed and this processor has bfloat16")


def _certified(arithmetic: Arithmetic, device: Device, fastest: RuntimeChoice) -> RuntimeChoice:
    """A runtime of the certified arithmetic, when the fastest has another."""
    if arithmetic == "float32":
        return RuntimeChoice(name="onnx", reason=f"the calibration certificate is for float32, not {fastest.name}")
    raise ConfigError(
        f"the calibration certificate is for {arithmetic}; the default here on device {device!r} is "
        f"{fastest.name} in {fastest.arithmetic} ({fastest.reason}): name a runtime of {arithmetic} in [models], or "
        "calibrate again here"
    )


@cache
def _bf16_is_native() -> bool:
    from pylfr.runtimes.openvino import bf16_is_native

    return bf16_is_native()
