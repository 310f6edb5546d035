"""Enrol people and search for one more picture: python examples/enrol_and_search.py PROBE.jpg NAME=IMAGE..."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pylfr


def search(
    probe: Path, people: dict[str, Path], *, detector: str | None = None, embedder: str | None = None
) -> list[tuple[str, float]]:
    """Entries of the watchlist with their comparison scores to the most prominent face of ``probe``, best first.

    Without names, the best networks on this machine are used.
    """
    analysis = pylfr.open_face_analysis(detector=detector, embedder=embedder)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.watchlist"
        with pylfr.create_watchlist(path, analysis.embedder) as watchlist:
            for name, image in people.items():
                watchlist.enrol(name, pylfr.read_image(image), detector=analysis.detector, embedder=analysis.embedder)
        gallery = pylfr.open_gallery(path, model=analysis.embedder.model).snapshot()
    faces = analysis.get(probe)
    if not len(faces):
        raise SystemExit(f"no face was found in {probe}")
    candidates = gallery.search(faces[:1].templates, k=5)
    return [
        (gallery.reference(entry).name, score)
        for entry, score in zip(candidates.entry[0].tolist(), candidates.scores[0].tolist(), strict=True)
        if entry >= 0
    ]


if __name__ == "__main__":
    pairs = dict(argument.split("=", 1) for argument in sys.argv[2:])
    for name, score in search(Path(sys.argv[1]), {name: Path(image) for name, image in pairs.items()}):
        print(f"{score:6.3f}  {name}")
