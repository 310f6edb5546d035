"""How accurate pairs of networks are, as measured by pylfr: figures that come with the package.

``python -m benchmarks.pairs`` measures them through pylfr's own stages and writes them.
"""

from __future__ import annotations

from importlib import resources

from pydantic import Field

from pylfr._internal.toml_model import ConfigModel
from pylfr.models.manifest import ModelManifest


class MeasuredSearch(ConfigModel):
    """Searches of a watchlist of that many people: TPIR with its 95 % interval, from 0 to 1, at ``threshold``."""

    watchlist: int = Field(ge=1)
    tpir: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    threshold: float = Field(ge=-1, le=1)


class MeasuredPair(ConfigModel):
    """A detector and an embedder, by name and by the hash of the very file that was measured.

    ``not_acquired`` counts pictures without a face. ``detect_ms`` and ``embed_ms`` are processor time at one thread,
    of one picture with a long side of 640 pixels and of one crop, on the machine of the measurement: they compare
    networks.
    """

    detector: str
    embedder: str
    detector_sha256: str
    embedder_sha256: str
    verification: float = Field(ge=0, le=1)
    not_acquired: int = Field(ge=0)
    detect_ms: float = Field(gt=0)
    embed_ms: float = Field(gt=0)
    searches: tuple[MeasuredSearch, ...] = Field(min_length=1)

    def search(self, watchlist: int) -> MeasuredSearch:
        """The figure of the shortest measured watchlist that is no shorter than that; else of the longest measured."""
        longer = [each for each in self.searches if each.watchlist >= watchlist]
        if longer:
            return min(longer, key=lambda each: each.watchlist)
        return max(self.searches, key=lambda each: each.watchlist)

    def is_of(self, detector: ModelManifest, embedder: ModelManifest) -> bool:
        """Whether these are the networks that were measured, and not others of the same names."""
        return (self.detector_sha256, self.embedder_sha256) == (detector.source.sha256, embedder.source.sha256)


class Measured(ConfigModel):
    """Pairs measured on the same material. ``fpir`` is the share of non-mated searches that raise an alert."""

    material: str
    machine: str
    fpir: float
    pairs: tuple[MeasuredPair, ...]


def read_measured() -> Measured:
    """The figures that come with this version of pylfr."""
    file = resources.files("pylfr.models") / "measured.json"
    return Measured.model_validate_json(file.read_text(encoding="utf-8"))
