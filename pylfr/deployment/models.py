"""A detector, an embedder, and who recognises with them: on the host, or on a device."""

from __future__ import annotations

import logging

from pylfr import ops
from pylfr.engine.build import Networks
from pylfr.errors import ConfigError
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.faces.device.detect import open_device_detector
from pylfr.faces.device.recognise import DeviceRecogniser, HostEmbedderAdapter, open_device_embedder
from pylfr.faces.device.uploads import Uploads
from pylfr.faces.embed import FaceEmbedder, open_embedder
from pylfr.faces.recognise import FaceRecogniser
from pylfr.faces.template_pool import DeviceProbePool, ProbePool
from pylfr.runtimes.registry import choose_runtime
from pylfr.types import Device

log = logging.getLogger(__name__)

# The most faces that are embedded at once.
_POOL_ROWS = 64
_DEVICE_POOL_ROWS = 256


def open_networks(
    detector: str,
    embedder: str,
    *,
    device: Device,
    runtime: str,
    threads: int = 0,
    side_px: int | None = None,
    smallest_face_px: float | None = None,
    graphs: bool = True,
) -> Networks:
    """Both networks by name on ``device``, in the runtime of that name; why it is that one is logged.

    ``side_px`` or ``smallest_face_px`` say how large the detector's input is, the latter on the CPU alone. Raises
    ``ConfigError``, ``ModelError`` or ``CudaError`` for what cannot be had: nothing falls back.
    """
    choice = choose_runtime(runtime, device=device)
    log.info("networks run in %s: %s", choice.name, choice.reason)
    if device == "cuda":
        ops.require_device(device)
        if smallest_face_px is not None:
            raise ConfigError('smallest_face_px is for networks on the CPU: with device "cuda" give side_px')
        return on_device(detector, embedder, device, runtime=choice.name, side_px=side_px, graphs=graphs)
    return on_host(
        open_detector(
            detector,
            device=device,
            runtime=choice.name,
            threads=threads,
            side_px=side_px,
            smallest_face_px=smallest_face_px,
        ),
        open_embedder(embedder, device=device, runtime=choice.name, threads=threads),
        runtime=choice.name,
    )


def on_host(detector: FaceDetector, embedder: FaceEmbedder, *, runtime: str = "chosen by the caller") -> Networks:
    """Networks that are open already."""
    pool = ProbePool(rows=_POOL_ROWS, dimension=embedder.dimension)
    return Networks(detector=detector, embedder=embedder, recogniser=FaceRecogniser(embedder, pool), runtime=runtime)


def on_device(
    detector: str, embedder: str, device: Device, *, runtime: str, side_px: int | None = None, graphs: bool = True
) -> Networks:
    """Both networks on streams of their own, with one upload of each batch."""
    uploads = Uploads(ops.Stream(device))
    recognising = ops.Stream(device)
    there = open_device_embedder(embedder, uploads, runtime=runtime, stream=recognising, graphs=graphs)
    pool = DeviceProbePool(rows=_DEVICE_POOL_ROWS, dimension=there.dimension, stream=recognising)
    return Networks(
        detector=open_device_detector(
            detector, uploads, runtime=runtime, stream=ops.Stream(device), side_px=side_px, graphs=graphs
        ),
        embedder=HostEmbedderAdapter(there),
        recogniser=DeviceRecogniser(there, pool),
        runtime=runtime,
    )
