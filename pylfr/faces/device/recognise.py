"""Recognition on a device: crops and probe templates stay there, only scores are copied back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np

from pylfr import ops
from pylfr.errors import ConfigError, ModelError
from pylfr.faces.device.uploads import Uploads
from pylfr.faces.template_pool import DeviceProbePool
from pylfr.models.manifest import ModelManifest
from pylfr.models.store import open_store
from pylfr.protocols import DeviceGallery, DeviceRuntime, Gallery
from pylfr.runtimes.registry import open_device_runtime
from pylfr.types import Candidates, Faces, Float32, Frame, Templates


class DeviceEmbedder:
    """Crops and templates that stay on the device, for every network that gives one vector per crop.

    Whoever calls it holds its ``turn``, as ``DeviceRecogniser`` and ``HostEmbedderAdapter`` do.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        runtime: DeviceRuntime,
        uploads: Uploads,
        *,
        model: str,
        stream: ops.Stream | None = None,
    ) -> None:
        """Work is queued on ``stream``, by default on that of ``uploads``."""
        self._embed = manifest.embedding
        self._output, shape = next(iter(runtime.outputs.items()))
        if shape[-1] not in (None, self._embed.dimension):
            raise ModelError(
                f"{manifest.name} must give {self._embed.dimension} numbers per face, it gives {shape[-1]}"
            )
        self._manifest = manifest
        self._runtime = runtime
        self._uploads = uploads
        self._staging = ops.Staging(stream or uploads.stream)
        self._model = model

    @property
    def model(self) -> str:
        return self._model

    @property
    def manifest(self) -> ModelManifest:
        return self._manifest

    @property
    def staging(self) -> ops.Staging:
        """The staging of the stream on which crops and templates are computed."""
        return self._staging

    @property
    def stream(self) -> ops.Stream:
        return self._staging.stream

    @property
    def turn(self) -> AbstractContextManager[object]:
        """Held by the thread that uses this embedder, from ``align`` until its work is done."""
        return self._uploads.turn

    @property
    def dimension(self) -> int:
        return self._embed.dimension

    def align(self, frames: Sequence[Frame], faces: Faces) -> ops.Tensor:
        """Network-ready crops, float32 [N, 3, side, side], all faces in one kernel launch."""
        side = self._embed.side_px
        crops = ops.Tensor((len(faces), 3, side, side), "float32", self.stream)
        if len(faces):
            pixels = self._manifest.pixels
            self._uploads.of(frames).warp(
                self._staging,
                faces.frame_index,
                ops.similarity(faces.landmarks, self._embed.landmark_template),
                crops,
                bgr=pixels.colour == "bgr",
                mean=pixels.mean,
                scale=pixels.scale,
            )
        return crops

    def embed_into(self, crops: ops.Tensor, out: ops.Tensor) -> None:
        """Templates of the crops, float32 [N, D] of unit length: the network writes straight into ``out``."""
        if out.shape != (len(crops), self.dimension):
            raise ValueError(f"out must be float32 [{len(crops)}, {self.dimension}], got {list(out.shape)}")
        if len(crops):
            self._runtime.run_on(self.stream, crops, {self._output: out})
            ops.normalise_on(out, self.stream)


class DeviceRecogniser:
    """From faces to candidates on the device. Probe templates exist only inside the ``with`` block."""

    def __init__(self, embedder: DeviceEmbedder, pool: DeviceProbePool) -> None:
        self._embedder = embedder
        self._pool = pool

    @property
    def embedder(self) -> DeviceEmbedder:
        return self._embedder

    @property
    def pool(self) -> DeviceProbePool:
        return self._pool

    def recognise(self, frames: Sequence[Frame], faces: Faces, gallery: Gallery, k: int) -> Candidates:
        """The k best entries for each of at most ``pool.rows`` faces.

        Raises ``ConfigError`` for a gallery that cannot search on this device.
        """
        if not isinstance(gallery, DeviceGallery):
            raise ConfigError(
                "templates stay on the device, but this watchlist's index searches on the host: choose index "
                "'device-int8', 'device-float16' or 'device-float32'"
            )
        # Until the loan has ended, which waits for the stream: no thread releases the pictures while they are read.
        with self._embedder.turn, self._pool.borrow(len(faces)) as probes:
            crops = self._embedder.align(frames, faces)
            self._embedder.embed_into(crops, probes)
            return gallery.search_on(probes, model=self._embedder.model, k=k)


class HostEmbedderAdapter:
    """An ``Embedder`` over a network on the device, whose templates come back to the host: for enrolment and stills."""

    def __init__(self, embedder: DeviceEmbedder) -> None:
        self._embedder = embedder

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def manifest(self) -> ModelManifest:
        return self._embedder.manifest

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def side_px(self) -> int:
        return self._embedder.manifest.embedding.side_px

    @property
    def landmark_template(self) -> Float32:
        return self._embedder.manifest.embedding.landmark_template

    def align(self, frames: Sequence[Frame], faces: Faces) -> Float32:
        with self._embedder.turn:
            tensor = self._embedder.align(frames, faces)
            crops = np.empty(tensor.shape, np.float32)
            tensor.copy_to(crops, self._embedder.stream)
        return crops

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        """As ``FaceEmbedder.embed``; the device's copy is wiped."""
        stream = self._embedder.stream
        vectors = np.empty((len(crops), self.dimension), np.float32) if out is None else out
        with self._embedder.turn:
            there = ops.Tensor(vectors.shape, "float32", stream)
            try:
                self._embedder.embed_into(self._embedder.staging.send(np.ascontiguousarray(crops)), there)
                there.copy_to(vectors, stream)
            finally:
                there.wipe(stream)
                stream.synchronise()
        return Templates(vectors=vectors, model=self.model)


def open_device_embedder(
    name: str, uploads: Uploads, *, runtime: str, stream: ops.Stream | None = None, graphs: bool = True
) -> DeviceEmbedder:
    """The embedder of that name on the device of ``uploads``; errors as ``open_embedder``'s.

    Its work is queued on ``stream``, by default on that of ``uploads``; ``graphs`` as for ``open_runtime``.
    """
    model = open_store().resolve(name)
    model.manifest.embedding  # noqa: B018 - a network of another task is refused before it is loaded
    return DeviceEmbedder(
        model.manifest,
        open_device_runtime(model, runtime=runtime, device=uploads.stream.device, graphs=graphs),
        uploads,
        model=model.sha256,
        stream=stream,
    )
