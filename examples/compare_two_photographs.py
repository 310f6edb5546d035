"""Compare the faces of two photographs: python examples/compare_two_photographs.py ONE.jpg OTHER.jpg."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import pylfr


def compare(one: Path, other: Path, *, detector: str = "yunet_n", embedder: str = "face_reid_0095") -> float:
    """The comparison score (cosine) of the most prominent face of each photograph."""
    images = [pylfr.read_image(one), pylfr.read_image(other)]
    faces = pylfr.open_detector(detector).detect(images)
    best = [(faces.frame_index == index).nonzero()[0] for index in range(2)]
    for path, found in zip((one, other), best, strict=True):
        if not len(found):
            raise SystemExit(f"no face was found in {path}")
    pair = faces.select(np.array([best[0][0], best[1][0]]))
    network = pylfr.open_embedder(embedder)
    templates = network.embed(network.align(images, pair))
    return float(templates.vectors[0] @ templates.vectors[1])


if __name__ == "__main__":
    print(f"comparison score {compare(Path(sys.argv[1]), Path(sys.argv[2])):.3f} (cosine, no percentage)")
