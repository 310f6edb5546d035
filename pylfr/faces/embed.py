"""Templates of aligned crops: one network call for all of them, unit length."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from pylfr import ops
from pylfr.errors import ModelError
from pylfr.faces.align import align_faces
from pylfr.models.last_layer import LastLayer
from pylfr.models.manifest import ModelManifest
from pylfr.models.store import open_store, trunk_of
from pylfr.protocols import Runtime
from pylfr.runtimes.registry import open_runtime
from pylfr.types import Device, Faces, Float32, Frame, Templates, UInt8

log = logging.getLogger(__name__)


class FaceEmbedder:
    """An ``Embedder`` for every network that gives one vector per crop. Threads may share it.

    With ``last_layer`` the runtime runs the network without it, and the templates are computed here.
    """

    def __init__(
        self, manifest: ModelManifest, runtime: Runtime, *, model: str, last_layer: LastLayer | None = None
    ) -> None:
        self._embed = manifest.embedding
        self._output, shape = next(iter(runtime.outputs.items()))
        gives = shape[-1] if last_layer is None else len(last_layer.weight)
        if gives not in (None, self._embed.dimension):
            raise ModelError(f"{manifest.name} must give {self._embed.dimension} numbers per face, it gives {gives}")
        self._last_layer = last_layer
        self._sides = (1,) * (len(shape) - 2)
        self._manifest = manifest
        self._runtime = runtime
        self._model = model

    @property
    def model(self) -> str:
        return self._model

    @property
    def manifest(self) -> ModelManifest:
        return self._manifest

    @property
    def dimension(self) -> int:
        return self._embed.dimension

    @property
    def side_px(self) -> int:
        return self._embed.side_px

    @property
    def landmark_template(self) -> Float32:
        return self._embed.landmark_template

    def align(self, frames: Sequence[Frame | UInt8], faces: Faces) -> Float32:
        return align_faces(frames, faces, self._manifest)

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        """Templates of crops float32 [N, 3, side, side], written to ``out`` float32 [N, D] if that is given.

        With ``out`` in a wiped pool, no other copy of a template remains: it is written there by the network or, so
        that not even the runtime retains one, by its last layer here.
        """
        wanted = (3, self._embed.side_px, self._embed.side_px)
        if crops.dtype != np.float32 or crops.ndim != 4 or crops.shape[1:] != wanted:
            raise ValueError(
                f"crops must be float32 [N, {', '.join(map(str, wanted))}], got {crops.dtype} {crops.shape}"
            )
        if out is None:
            out = np.empty((len(crops), self.dimension), np.float32)
        if out.shape != (len(crops), self.dimension):
            raise ValueError(f"out must be float32 [{len(crops)}, {self.dimension}], got {list(out.shape)}")
        if len(crops):
            if self._last_layer is None:
                self._runtime.run_into(crops, self._output, out)
            else:
                features = np.empty((len(crops), self._last_layer.weight.shape[1], *self._sides), np.float32)
                self._runtime.run_into(crops, self._output, features)
                self._last_layer.apply(features, out)
                features.fill(0)
            ops.normalise(out)
        return Templates(vectors=out, model=self._model)


def open_embedder(name: str, *, device: Device = "cpu", runtime: str = "onnx", threads: int = 0) -> FaceEmbedder:
    """The embedder of that name, ready to run.

    ``threads`` is the number of CPU threads, 0 for one per core. Raises ``ModelError`` if the network is unknown,
    missing, altered or not an embedder.
    """
    model = open_store().resolve(name)
    model.manifest.embedding  # noqa: B018 - a network of another task is refused before it is loaded
    parts = trunk_of(model) if device == "cpu" else None
    if parts is None:
        log.warning("%s runs whole: its runtime's memory may retain template values until it is used again", name)
    trunk, last_layer = parts or (model, None)
    opened = open_runtime(trunk, runtime=runtime, device=device, threads=threads)
    return FaceEmbedder(model.manifest, opened, model=model.sha256, last_layer=last_layer)
