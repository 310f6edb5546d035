"""Engines of TensorRT and TensorRT-RTX: built once for a network, a GPU, a precision and shapes, then cached.

TensorRT builds for the GPU of this machine; TensorRT-RTX also for others, even without a GPU. Needs the extra
``tensorrt`` or ``rtx``. Nothing is printed: who wants to see a build advance hands in a ``BuildProgress``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Literal, Protocol, get_args

from pylfr.errors import ConfigError, ModelError
from pylfr.models.manifest import ModelManifest
from pylfr.models.store import Model, read_verified
from pylfr.runtimes.fp16 import require_agreement, synthetic_pictures, to_half
from pylfr.runtimes.onnx import open_onnx, open_onnx_bytes
from pylfr.runtimes.tensorrt.engine_cache import EngineCache, EngineName

Library = Literal["tensorrt", "tensorrt-rtx"]
Precision = Literal["fp16", "fp32"]
Shape = tuple[int, int, int, int]

# Compute capabilities that TensorRT-RTX builds for on any machine: A100, RTX 30, RTX 40 and L4, RTX 50.
RtxTarget = Literal["SM80", "SM86", "SM89", "SM120"]

# The module of a library, and the extra of pylfr that installs it. Versions 10, 11 and RTX share the API used here.
_MODULES: dict[str, tuple[str, str]] = {"tensorrt": ("tensorrt", "tensorrt"), "tensorrt-rtx": ("tensorrt_rtx", "rtx")}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeProfile:
    """The inputs [B, 3, H, W] that an engine takes: each side from ``least`` to ``most``, fastest at ``usual``."""

    least: Shape
    usual: Shape
    most: Shape

    def __post_init__(self) -> None:
        ordered = all(1 <= a <= b <= c for a, b, c in zip(self.least, self.usual, self.most, strict=True))
        if not ordered or {self.least[1], self.usual[1], self.most[1]} != {3}:
            raise ValueError(f"a profile must have three channels and 1 <= least <= usual <= most, got {self}")

    @classmethod
    def of_size(cls, *, width: int, height: int, usual: int, most: int) -> ShapeProfile:
        """Pictures of one size, 1 to ``most`` per call."""
        size = (3, height, width)
        return cls(least=(1, *size), usual=(usual, *size), most=(most, *size))

    def __str__(self) -> str:
        return " to ".join("x".join(map(str, each)) for each in (self.least, self.usual, self.most))


class BuildProgress(Protocol):
    """Receives the progress of a build, on threads of the library."""

    def began(self, phase: str, within: str | None, steps: int) -> None: ...

    def stepped(self, phase: str, step: int) -> bool:
        """Return False to cancel the build."""
        ...

    def ended(self, phase: str) -> None: ...


class LoggedProgress:
    """Logs the outermost phases, one line each."""

    def began(self, phase: str, within: str | None, steps: int) -> None:
        if within is None:
            log.info("building: %s, %d steps", phase, steps)

    def stepped(self, phase: str, step: int) -> bool:  # noqa: ARG002
        return True

    def ended(self, phase: str) -> None:
        log.debug("building: %s is done", phase)


def open_library(library: str) -> ModuleType:
    """TensorRT or TensorRT-RTX. Raises ``ConfigError`` for another name, and if it is not installed."""
    if library not in _MODULES:
        raise ConfigError(f"the library must be one of {', '.join(_MODULES)}, got {library!r}")
    module, extra = _MODULES[library]
    if find_spec(module) is None:
        raise ConfigError(f"{module} is not installed: install pylfr[{extra}]")
    return import_module(module)


def profile_of(manifest: ModelManifest, *, side_px: int | None = None, usual: int = 8, most: int = 32) -> ShapeProfile:
    """The inputs of a network: crops of its size, or pictures with sides up to ``side_px`` (usually 16:9)."""
    most = min(most, manifest.pixels.max_batch or most)
    usual = min(usual, most)
    if manifest.embed is not None:
        return ShapeProfile.of_size(width=manifest.embed.side_px, height=manifest.embed.side_px, usual=usual, most=most)
    if manifest.detect is None:
        raise ModelError(f"{manifest.name} is a network for {manifest.task!r}: give one for 'detect' or 'embed'")
    if manifest.detect.fixed_size is not None:
        width, height = manifest.detect.fixed_size
        return ShapeProfile.of_size(width=width, height=height, usual=usual, most=most)
    step = manifest.detect.multiple_of
    side = -(-(side_px or manifest.detect.side_px) // step) * step
    low = min(side, -(-side * 9 // 16 // step) * step)
    return ShapeProfile(least=(1, 3, step, step), usual=(usual, 3, low, side), most=(most, 3, side, side))


def engine_of(
    trt: ModuleType,
    model: Model,
    profile: ShapeProfile,
    *,
    target: str,
    precision: Precision,
    cache: EngineCache,
    progress: BuildProgress | None = None,
) -> bytes:
    """An engine for ``target``, from ``cache``, or built and stored there.

    ``target`` is one of ``RtxTarget``, or names the GPU of this machine. An fp16 network is compared with float32 by
    onnxruntime before an engine is built from it. Raises ``ModelError`` if the network or a cached engine was altered,
    if fp16 deviates too far from float32, and if the network cannot be built.
    """
    content = read_verified(model)
    library = f"{trt.__name__} {trt.__version__}"
    name = EngineName(model=model.sha256, library=library, target=target, precision=precision, shapes=str(profile))
    engine = cache.read(name)
    if engine is not None:
        return engine
    if precision == "fp16":
        content = checked_half(model, content, profile)
    log.info("building %s in %s with %s for %s, inputs %s", model.manifest.name, precision, library, target, profile)
    timing = EngineName(model="any", library=library, target=target, precision="any", shapes="timing")
    known = cache.read(timing) or b""
    engine, learnt = _build(trt, model, content, profile, target=target, known=known, progress=progress)
    cache.write(name, engine)
    if learnt:
        cache.write(timing, learnt)
    return engine


def checked_half(model: Model, content: bytes, profile: ShapeProfile) -> bytes:
    """The network in fp16, verified by onnxruntime to agree with float32. Raises ``ModelError`` if it does not."""
    half = to_half(content)
    pictures = synthetic_pictures(model.manifest, height=profile.usual[2], width=profile.usual[3])
    require_agreement(model, open_onnx(model), open_onnx_bytes(half, name=str(model.path)), pictures, what="fp16")
    return half


def _build(
    trt: ModuleType,
    model: Model,
    content: bytes,
    profile: ShapeProfile,
    *,
    target: str,
    known: bytes,
    progress: BuildProgress | None,
) -> tuple[bytes, bytes]:
    """The engine, and the builder's timing cache (empty if it has none)."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    # Strongly typed: the precision is the network's own, which no builder flag changes. Newer versions have no flag
    # because they know nothing else.
    strongly = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly is None else 1 << int(strongly))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        reasons = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise ModelError(f"{model.path} cannot be read by {trt.__name__} {trt.__version__}: {reasons}")
    config = builder.create_builder_config()
    if target in get_args(RtxTarget):
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)
    # TensorRT-RTX times no kernels when it builds: it chooses them where the engine runs.
    timing = config.create_timing_cache(known) if trt.__name__ == _MODULES["tensorrt"][0] else None
    if timing is not None:
        config.set_timing_cache(timing, ignore_mismatch=False)
    monitor = _monitor(trt, progress or LoggedProgress())
    config.progress_monitor = monitor
    shapes = builder.create_optimization_profile()
    shapes.set_shape(network.get_input(0).name, profile.least, profile.usual, profile.most)
    config.add_optimization_profile(shapes)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ModelError(
            f"{model.path} cannot be built by {trt.__name__} {trt.__version__} for {target}, inputs {profile}"
        )
    return bytes(engine), bytes(timing.serialize()) if timing is not None else b""


def _monitor(trt: ModuleType, progress: BuildProgress) -> object:
    """The library's own kind of progress monitor, which forwards everything to ``progress``."""

    def phase_start(_: object, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        progress.began(phase_name, parent_phase, num_steps)

    def step_complete(_: object, phase_name: str, step: int) -> bool:
        return progress.stepped(phase_name, step)

    def phase_finish(_: object, phase_name: str) -> None:
        progress.ended(phase_name)

    def init(self: object) -> None:
        trt.IProgressMonitor.__init__(self)

    kind = type(
        "Monitor",
        (trt.IProgressMonitor,),
        {"__init__": init, "phase_start": phase_start, "step_complete": step_complete, "phase_finish": phase_finish},
    )
    return kind()
