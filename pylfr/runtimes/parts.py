"""Networks that take only so many images a call, run in parts; whoever calls them need not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pylfr.ops import Stream, Tensor
from pylfr.protocols import DeviceRuntime, Runtime
from pylfr.types import Device, Float32


class InParts:
    """A ``Runtime`` that hands another at most ``max_batch`` images a call, in order."""

    def __init__(self, runtime: Runtime, *, max_batch: int) -> None:
        self._runtime = runtime
        self._max_batch = max_batch

    @property
    def device(self) -> Device:
        return self._runtime.device

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return self._runtime.outputs

    def run(self, tensor: Float32) -> dict[str, Float32]:
        parts = [
            {name: _with_batch_axis(output, len(part)) for name, output in self._runtime.run(part).items()}
            for part in self._parts(tensor)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        for part, into in zip(self._parts(tensor), self._parts(out), strict=True):
            self._runtime.run_into(part, output, into)

    def _parts(self, array: Float32) -> Iterator[Float32]:
        return (array[start : start + self._max_batch] for start in range(0, len(array), self._max_batch))


def _with_batch_axis(output: Float32, batch: int) -> Float32:
    """Exports for one image may leave the batch axis out: insightface's SCRFD gives [cells, 1], not [1, cells, 1]."""
    return output[np.newaxis] if batch == 1 and output.ndim == 2 and len(output) != 1 else output


class DeviceInParts(InParts):
    """The same for a runtime that is a ``DeviceRuntime`` too, whose tensors never leave the device."""

    def __init__(self, runtime: Runtime, on_device: DeviceRuntime, *, max_batch: int) -> None:
        super().__init__(runtime, max_batch=max_batch)
        self._on_device = on_device

    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        part = min(shape[0], self._max_batch)
        of_part = self._on_device.output_shapes((part, *shape[1:]))
        return {name: (shape[0], *_without_batch_axis(own, part)) for name, own in of_part.items()}

    def run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> None:
        for start in range(0, len(tensor), self._max_batch):
            stop = min(start + self._max_batch, len(tensor))
            given = tensor.rows(start, stop)
            shapes = self._on_device.output_shapes(given.shape)
            parts = {name: output.rows(start, stop).reshaped(shapes[name]) for name, output in outputs.items()}
            self._on_device.run_on(stream, given, parts)


def _without_batch_axis(shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    """What is left of an output's shape; exports for one image may have no batch axis (see above)."""
    return shape if batch == 1 and len(shape) == 2 and shape[0] != 1 else shape[1:]
