"""From faces to candidates: aligned, turned into probe templates in wiped memory, searched with, and forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from pylfr.faces.template_pool import ProbePool
from pylfr.protocols import Embedder, Gallery
from pylfr.types import Candidates, Faces, Frame


class FaceRecogniser:
    """On the host. Probe templates exist inside the ``with`` block and nowhere else."""

    def __init__(self, embedder: Embedder, pool: ProbePool) -> None:
        self._embedder = embedder
        self._pool = pool

    @property
    def embedder(self) -> Embedder:
        return self._embedder

    @property
    def pool(self) -> ProbePool:
        return self._pool

    def recognise(self, frames: Sequence[Frame], faces: Faces, gallery: Gallery, k: int) -> Candidates:
        """The k best entries for each of at most ``pool.rows`` faces."""
        crops = self._embedder.align(frames, faces)
        with self._pool.borrow(len(faces), model=self._embedder.model) as probes:
            self._embedder.embed(crops, out=probes.vectors)
            return gallery.search(probes, k)
