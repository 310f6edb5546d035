"""A gallery around another one, whose searches it changes or watches."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pylfr.protocols import Gallery
from pylfr.types import Candidates, Reference, Templates


class WrappedGallery(ABC):
    """A ``Gallery`` that is the wrapped one in everything but ``search``."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    @property
    def model(self) -> str:
        return self._gallery.model

    @property
    def revision(self) -> int:
        return self._gallery.revision

    def __len__(self) -> int:
        return len(self._gallery)

    @abstractmethod
    def search(self, probes: Templates, k: int) -> Candidates:
        """The k best entries for each probe; raises as ``Gallery.search`` says."""

    def reference(self, entry: int) -> Reference:
        return self._gallery.reference(entry)
