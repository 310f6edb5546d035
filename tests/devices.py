"""One test body for every device: on the CPU it runs the device's schedule, on CUDA it is marked ``cuda``."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pytest

from pylfr import ops
from pylfr.protocols import Runtime
from pylfr.types import Device, Float32

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]

# A CPU plays the device (tests/native/stand_in): whatever takes a GPU a moment takes it seconds.
IS_STAND_IN = os.environ.get("PYLFR_CUDA_STAND_IN") == "1"

# Why the tests of the stand-in itself skip elsewhere: the rehearsal alone imports its core, and fails where they skip.
ONLY_ON_THE_STAND_IN = "asks the CPU that plays a device: tests/benchmarks/test_gpu_session.py runs this there"

needs_a_gpu = pytest.mark.skipif(IS_STAND_IN, reason="a CPU plays the device, and other libraries do not know it")


class HostedRuntime:
    """A ``DeviceRuntime`` that has a host's runtime do the work: for comparing all that lies around the network."""

    def __init__(self, runtime: Runtime, device: Device) -> None:
        self._runtime = runtime
        self._device = device

    @property
    def device(self) -> Device:
        return self._device

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return self._runtime.outputs

    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        return {name: output.shape for name, output in self._runtime.run(np.zeros(shape, np.float32)).items()}

    def run_on(self, stream: ops.Stream, tensor: ops.Tensor, outputs: Mapping[str, ops.Tensor]) -> None:
        given = on_host(tensor, stream)
        for name, output in self._runtime.run(given).items():
            if name in outputs:
                outputs[name].copy_from(np.ascontiguousarray(output), stream)


def on_host(tensor: ops.Tensor, stream: ops.Stream) -> Float32:
    """A float32 tensor's values."""
    values = np.empty(tensor.shape, np.float32)
    tensor.copy_to(values, stream)
    return values


def on_device(values: Float32, stream: ops.Stream) -> ops.Tensor:
    """A tensor with these values."""
    tensor = ops.Tensor(values.shape, "float32", stream)
    tensor.copy_from(np.ascontiguousarray(values), stream)
    return tensor
