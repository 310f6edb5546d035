"""The setting that sizing, curves, soak and overload have in common: three faces, YuNet-n, face_reid_0095, 10,000."""

from __future__ import annotations

import argparse

from benchmarks.footage import make_clip
from pylfr.deployment.sections.recognition import BatchSection, RecognitionSection
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.sizing.load import Setting
from pylfr.sizing.synthetic import synthetic_watchlist


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--faces", type=int, default=3)
    parser.add_argument("--watchlist", type=int, default=10_000)
    parser.add_argument("--detector", default="yunet_n")
    parser.add_argument("--embedder", default="face_reid_0095")
    parser.add_argument("--runtime", default="auto")


def setting_of(given: argparse.Namespace) -> Setting:
    embedder = open_embedder(given.embedder, runtime=given.runtime)
    return Setting(
        video=make_clip(faces=given.faces, seconds=10),
        detector=open_detector(given.detector, runtime=given.runtime),
        embedder=embedder,
        gallery=synthetic_watchlist(given.watchlist, embedder),
        recognition=RecognitionSection(),
        batch=BatchSection(),
    )
