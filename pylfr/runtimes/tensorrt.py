"""Engines of TensorRT-RTX, built for other GPUs than this machine's, so for none as well. Needs the extra ``rtx``.

Engines are built and cached here; nothing runs them yet: see docs/gpu.md.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Literal, get_args

from pylfr.errors import ConfigError, ModelError
from pylfr.models.store import Model
from pylfr.runtimes.engine_cache import EngineCache, EngineName

# Compute capabilities that TensorRT-RTX builds for on any machine: A100, RTX 30, RTX 40 and L4, RTX 50.
RtxTarget = Literal["SM80", "SM86", "SM89", "SM120"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Pictures of one size, 1 to ``most`` a call, fastest at ``usual``."""

    width: int
    height: int
    usual: int
    most: int

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0 and 1 <= self.usual <= self.most):
            raise ValueError(f"a profile must have a size and 1 <= usual <= most, got {self}")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}:1,{self.usual},{self.most}"


def open_library() -> ModuleType:
    """TensorRT-RTX. Raises ``ConfigError`` where it is not installed."""
    if find_spec("tensorrt_rtx") is None:
        raise ConfigError("tensorrt_rtx is not installed in this Python: install pylfr[rtx]")
    return import_module("tensorrt_rtx")


def rtx_engine(model: Model, profile: Profile, *, target: RtxTarget, cache: EngineCache) -> bytes:
    """An fp32 engine of TensorRT-RTX for GPUs of ``target``, out of ``cache`` or built and kept there.

    Raises ``ModelError`` where the network or a cached engine was altered, or the network cannot be built.
    """
    trt = open_library()
    if target not in get_args(RtxTarget):
        raise ConfigError(f"target must be one of {', '.join(get_args(RtxTarget))}, got {target!r}")
    name = EngineName(
        model=model.sha256,
        library=f"tensorrt_rtx {trt.__version__}",
        target=target,
        precision="fp32",
        shapes=str(profile),
    )
    engine = cache.read(name)
    if engine is None:
        log.info("building %s with %s for %s, pictures %s", model.manifest.name, name.library, target, profile)
        engine = _build(trt, model, profile, target=target)
        cache.write(name, engine)
    return engine


def _build(trt: ModuleType, model: Model, profile: Profile, *, target: RtxTarget) -> bytes:
    content = model.path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != model.sha256:
        raise ModelError(f"{model.path} must have sha256 {model.sha256}, got {digest}: it was altered, get it again")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    # Strongly typed: the precision is the network's own, and there is no builder flag that changes it.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        reasons = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise ModelError(f"{model.path} cannot be read by TensorRT {trt.__version__}: {reasons}")
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)
    shapes = builder.create_optimization_profile()
    size = (3, profile.height, profile.width)
    shapes.set_shape(network.get_input(0).name, (1, *size), (profile.usual, *size), (profile.most, *size))
    config.add_optimization_profile(shapes)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise ModelError(f"{model.path} cannot be built by TensorRT {trt.__version__} for {target}, pictures {profile}")
    return bytes(engine)
