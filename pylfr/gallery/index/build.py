"""Which index a gallery searches with, by its name in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from pylfr.gallery.index.device import open_device_index
from pylfr.gallery.index.faiss import open_faiss, open_faiss_gpu
from pylfr.gallery.index.native import NativeGallery
from pylfr.gallery.index.sharded import open_in_parts
from pylfr.gallery.watchlist.snapshot import WatchlistSnapshot
from pylfr.protocols import Gallery
from pylfr.types import Precision

IndexName = Literal[
    "native", "faiss", "faiss-gpu", "faiss-gpu-float16", "device-float32", "device-float16", "device-int8"
]

Builder = Callable[[WatchlistSnapshot], Gallery]

_PRECISIONS: Mapping[IndexName, Precision] = {
    "device-float32": "float32", "device-float16": "float16", "device-int8": "int8"
}  # fmt: skip
_BUILDERS: Mapping[IndexName, Builder] = {
    "native": NativeGallery,
    "faiss": open_faiss,
    "faiss-gpu": partial(open_faiss_gpu, half=False),
    "faiss-gpu-float16": partial(open_faiss_gpu, half=True),
    **{index: partial(open_device_index, precision=precision) for index, precision in _PRECISIONS.items()},
}


def build_gallery(
    snapshot: WatchlistSnapshot, index: IndexName = "native", *, device_mib: int | None = None
) -> Gallery:
    """The gallery over one snapshot; at most ``device_mib`` of it on the device, the rest on the host.

    Raises ``WatchlistError`` where the FAISS that ``index`` needs is not installed, ``CudaError`` where its device is
    not there, or has no room.
    """
    return builder_of(index, device_mib)(snapshot)


def builder_of(index: IndexName, device_mib: int | None) -> Builder:
    """What builds such a gallery. Raises ``ValueError`` for another index, or a ``device_mib`` that it cannot have."""
    if index not in _BUILDERS:
        raise ValueError(f"index must be one of {', '.join(_BUILDERS)}, got {index!r}")
    if device_mib is None:
        return _BUILDERS[index]
    if index not in _PRECISIONS or device_mib < 1:
        raise ValueError(f"device_mib, 1 or more, is for {', '.join(_PRECISIONS)}; got {device_mib} for {index!r}")
    return partial(open_in_parts, precision=_PRECISIONS[index], device_mib=device_mib)
