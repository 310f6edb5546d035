"""Enrol people and search for one more picture: python examples/enrol_and_search.py PROBE.jpg NAME=IMAGE..."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pylfr


def search(
    probe: Path, people: dict[str, Path], *, detector: str = "yunet_n", embedder: str = "face_reid_0095"
) -> list[tuple[str, float]]:
    """Entries of the watchlist with their comparison scores to the probe, best first."""
    finder, network = pylfr.open_detector(detector), pylfr.open_embedder(embedder)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.watchlist"
        with pylfr.create_watchlist(path, network) as watchlist:
            for name, image in people.items():
                watchlist.enrol(name, pylfr.read_image(image), detector=finder, embedder=network)
        gallery = pylfr.open_gallery(path, model=network.model).snapshot()
    picture = pylfr.read_image(probe)
    faces = finder.detect([picture])
    candidates = gallery.search(network.embed(network.align([picture], faces)), k=5)
    return [
        (gallery.reference(entry).name, score)
        for entry, score in zip(candidates.entry[0].tolist(), candidates.scores[0].tolist(), strict=True)
        if entry >= 0
    ]


if __name__ == "__main__":
    pairs = dict(argument.split("=", 1) for argument in sys.argv[2:])
    for name, score in search(Path(sys.argv[1]), {name: Path(image) for name, image in pairs.items()}):
        print(f"{score:6.3f}  {name}")
