"""Compare the faces of two photographs: python examples/compare_two_photographs.py ONE.jpg OTHER.jpg."""

from __future__ import annotations

import sys
from pathlib import Path

import pylfr


def compare(one: Path, other: Path, *, detector: str | None = None, embedder: str | None = None) -> float:
    """The comparison score (cosine) of the most prominent face of each photograph.

    Without names, the best networks on this machine are used.
    """
    analysis = pylfr.open_face_analysis(detector=detector, embedder=embedder)
    pair = analysis.get_batch([one, other])
    for path, faces in zip((one, other), pair, strict=True):
        if not len(faces):
            raise SystemExit(f"no face was found in {path}")
    return pair[0][0].compare(pair[1][0])


if __name__ == "__main__":
    print(f"comparison score {compare(Path(sys.argv[1]), Path(sys.argv[2])):.3f} (a cosine, not a percentage)")
