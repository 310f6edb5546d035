"""Batches run in parts: for networks with a maximum batch, and in parallel on a CPU. Callers see one batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np

from pylfr.ops import Stream, Tensor
from pylfr.protocols import DeviceRuntime, Runtime
from pylfr.types import Device, Float32

Part = TypeVar("Part")
Result = TypeVar("Result")

# Each part in flight has activations of its own, so their number is bounded.
_MOST_BESIDE = 8

# On a CPU whole pictures run one at a time: in a batch of them the activations would not fit the cache.
_CROP_PIXELS = 256 * 256
# Crops run a few at a time: alone each costs 1.5 times as much (bfloat16, processor time), more of them at once save
# less than a tenth, and every number of them is a shape that OpenVINO compiles for.
CROPS_A_PART = 4


def beside_on_cpu(threads: int) -> int:
    """How many parts run at once for that many threads, 0 for one per core.

    Threads that never wait for each other finish more pictures than all threads on one picture, the more so while a
    decoder competes for the cores.
    """
    return min(threads or len(os.sched_getaffinity(0)), _MOST_BESIDE)


class ChunkedRuntime:
    """A ``Runtime`` that passes another at most ``max_batch`` images per call (None: any number), in order.

    With ``beside`` it divides a batch as suits a CPU and runs that many parts at once, on threads that start with the
    first batch of several parts; ``one_by_one`` leaves every image by itself, so that its result does not depend on
    what is in the batch with it. Threads may share it if they may share the other.
    """

    def __init__(
        self, runtime: Runtime, *, max_batch: int | None, beside: int | None = None, one_by_one: bool = False
    ) -> None:
        self._runtime = runtime
        self._max_batch = max_batch
        self._beside = beside
        self._one_by_one = one_by_one
        self._threads = ThreadPoolExecutor(max_workers=beside or 1, thread_name_prefix="pylfr-network")

    @property
    def device(self) -> Device:
        return self._runtime.device

    @property
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]:
        return self._runtime.outputs

    def run(self, tensor: Float32) -> dict[str, Float32]:
        parts = self._each(self._run_part, _parts(tensor, self._most(tensor)))
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        if len(out) != len(tensor):
            raise ValueError(f"out must have {len(tensor)} rows, one per image, got {list(out.shape)}")
        most = self._most(tensor)
        pairs = list(zip(_parts(tensor, most), _parts(out, most), strict=True))
        self._each(lambda pair: self._runtime.run_into(pair[0], output, pair[1]), pairs)

    def _most(self, tensor: Float32) -> int:
        """The most images in one part of this batch."""
        most = self._max_batch or max(1, len(tensor))
        if self._beside is None:
            return most
        if self._one_by_one or tensor.shape[-1] * tensor.shape[-2] > _CROP_PIXELS:
            return 1
        return min(most, CROPS_A_PART)

    def _each(self, work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        if self._beside in (None, 1) or len(parts) == 1:
            return [work(part) for part in parts]
        running = [self._threads.submit(work, part) for part in parts]
        # All of them, even if one fails: the memory returns to its owner after this.
        wait(running)
        return [each.result() for each in running]

    def _run_part(self, part: Float32) -> dict[str, Float32]:
        return {name: _with_batch_axis(output, len(part)) for name, output in self._runtime.run(part).items()}


def _parts(array: Float32, most: int) -> list[Float32]:
    """Slices of at most ``most`` rows; one part for an empty array."""
    return [array[start : start + most] for start in range(0, max(1, len(array)), most)]


def _with_batch_axis(output: Float32, batch: int) -> Float32:
    """Exports for one image may omit the batch axis: insightface's SCRFD gives [cells, 1], not [1, cells, 1]."""
    return output[np.newaxis] if batch == 1 and output.ndim == 2 and len(output) != 1 else output


class DeviceInParts(ChunkedRuntime):
    """The same for a ``DeviceRuntime``, whose tensors never leave the device."""

    def __init__(
        self,
        runtime: Runtime,
        on_device: DeviceRuntime,
        *,
        max_batch: int | None,
        beside: int | None = None,
        one_by_one: bool = False,
    ) -> None:
        super().__init__(runtime, max_batch=max_batch, beside=beside, one_by_one=one_by_one)
        self._on_device = on_device

    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        part = min(shape[0], self._max_batch or shape[0])
        of_part = self._on_device.output_shapes((part, *shape[1:]))
        return {name: (shape[0], *_without_batch_axis(own, part)) for name, own in of_part.items()}

    def run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> None:
        most = self._max_batch or max(1, len(tensor))
        for start in range(0, len(tensor), most):
            stop = min(start + most, len(tensor))
            given = tensor.rows(start, stop)
            shapes = self._on_device.output_shapes(given.shape)
            parts = {name: output.rows(start, stop).reshaped(shapes[name]) for name, output in outputs.items()}
            self._on_device.run_on(stream, given, parts)


def _without_batch_axis(shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    """An output's shape without its batch axis, which exports for one image may omit (see above)."""
    return shape if batch == 1 and len(shape) == 2 and shape[0] != 1 else shape[1:]
