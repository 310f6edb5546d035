"""Templates of aligned crops: one network call for all of them, unit length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pylfr import ops
from pylfr.errors import ModelError
from pylfr.faces.align import align_faces
from pylfr.models.manifest import ModelManifest
from pylfr.models.store import open_store
from pylfr.protocols import Runtime
from pylfr.runtimes.choose import open_runtime
from pylfr.types import Device, Faces, Float32, Frame, Templates, UInt8


class FaceEmbedder:
    """An ``Embedder`` for every network that gives one vector a crop."""

    def __init__(self, manifest: ModelManifest, runtime: Runtime, *, model: str) -> None:
        if manifest.embed is None:
            raise ModelError(f"{manifest.name} is a network for {manifest.task!r}: give one for 'embed'")
        self._output, shape = next(iter(runtime.outputs.items()))
        if shape[-1] not in (None, manifest.embed.dimension):
            raise ModelError(
                f"{manifest.name} must give {manifest.embed.dimension} numbers a face, it gives {shape[-1]}"
            )
        self._manifest = manifest
        self._embed = manifest.embed
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
        """Templates of crops float32 [N, 3, side, side], written to ``out`` float32 [N, D] where it is given.

        The network writes straight into ``out``: with a wiped pool behind it no other copy of a template is kept here.
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
            self._runtime.run_into(crops, self._output, out)
            ops.normalise(out)
        return Templates(vectors=out, model=self._model)


def open_embedder(name: str, *, device: Device = "cpu", runtime: str = "onnx", threads: int = 0) -> FaceEmbedder:
    """The embedder of that name, ready to run.

    Raises ``ModelError`` where the network is unknown, missing, altered or not an embedder.
    """
    model = open_store().resolve(name)
    if model.manifest.embed is None:
        raise ModelError(
            f"{name} is a network for {model.manifest.task!r}: name one for 'embed' (see `pylfr models list`)"
        )
    return FaceEmbedder(
        model.manifest, open_runtime(model, runtime=runtime, device=device, threads=threads), model=model.sha256
    )
