"""A device's runtime for arrays of the host: they are uploaded, run through the network, and copied back."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from pylfr.ops import Stream, Tensor
from pylfr.types import Device, Float32


class HostAdapter(ABC):
    """A ``Runtime`` on top of a ``DeviceRuntime``. Calls from the host take turns on a stream of its own.

    An implementation whose network has mutable state holds ``_turn`` in ``run_on`` too.
    """

    def __init__(self) -> None:
        self._stream: Stream | None = None
        self._turn = threading.RLock()

    @property
    @abstractmethod
    def device(self) -> Device: ...

    @property
    @abstractmethod
    def outputs(self) -> Mapping[str, tuple[int | None, ...]]: ...

    @abstractmethod
    def output_shapes(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]: ...

    @abstractmethod
    def run_on(self, stream: Stream, tensor: Tensor, outputs: Mapping[str, Tensor]) -> None: ...

    def run(self, tensor: Float32) -> dict[str, Float32]:
        with self._turn:
            stream = self._own_stream()
            there = {name: Tensor(shape, "float32", stream) for name, shape in self.output_shapes(tensor.shape).items()}
            self.run_on(stream, _uploaded(tensor, stream), there)
            results = {name: np.empty(output.shape, np.float32) for name, output in there.items()}
            for name, output in there.items():
                output.copy_to(results[name], stream)
                output.wipe(stream)
            stream.synchronise()
        return results

    def run_into(self, tensor: Float32, output: str, out: Float32) -> None:
        if out.dtype != np.float32 or not out.flags.c_contiguous:
            raise TypeError(f"out must be C-contiguous float32, got {out.dtype.name}; pass a slice of whole rows")
        with self._turn:
            stream = self._own_stream()
            shape = self.output_shapes(tensor.shape)[output]
            if shape != out.shape:
                raise ValueError(f"out must be float32 {list(shape)}, got shape {list(out.shape)}")
            there = Tensor(shape, "float32", stream)
            self.run_on(stream, _uploaded(tensor, stream), {output: there})
            there.copy_to(out, stream)
            # The copy in `out` is wiped by its owner; the one on the device is wiped here.
            there.wipe(stream)
            stream.synchronise()

    def _own_stream(self) -> Stream:
        if self._stream is None:
            self._stream = Stream(self.device)
        return self._stream


def require_tensors(
    device: Device,
    tensor: Tensor,
    outputs: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    may_be_half: bool = False,
) -> None:
    """Raise ``ValueError`` unless a network on ``device`` with outputs of ``shapes`` can use these tensors.

    With ``may_be_half`` the input may be float16, too.
    """
    for name, each in {"the input": tensor, **outputs}.items():
        is_half = may_be_half and each is tensor and each.dtype == "float16"
        if each.device != device or (each.dtype != "float32" and not is_half):
            raise ValueError(f"{name} must be float32 on {device}, got {each.dtype} on {each.device}")
        packed = (2 if is_half else 4) * int(np.prod(each.shape[1:], dtype=np.int64))
        if len(each.shape) > 1 and each.shape[0] > 1 and each.row_bytes != packed:
            raise ValueError(f"{name} must be packed: {packed} bytes per row, got {each.row_bytes}")
    for name, output in outputs.items():
        if name not in shapes:
            raise ValueError(f"outputs must be among {', '.join(shapes)}, got {name!r}")
        if output.shape != shapes[name]:
            raise ValueError(f"output {name!r} must be {list(shapes[name])}, got {list(output.shape)}")
        if output.is_read_only:
            raise ValueError(f"output {name!r} must be writeable, got a read-only tensor")


def _uploaded(tensor: Float32, stream: Stream) -> Tensor:
    there = Tensor(tensor.shape, "float32", stream)
    there.copy_from(np.ascontiguousarray(tensor, np.float32), stream)
    return there
