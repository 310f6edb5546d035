"""What the cameras of a load play, small enough for a test."""

from __future__ import annotations

import pytest

from pylfr.deployment.sections.recognition import BatchSection, RecognitionSection
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.sizing.footage import ClipRules, find_portraits, make_clip
from pylfr.sizing.load import Setting
from pylfr.sizing.synthetic import synthetic_watchlist


@pytest.fixture(scope="session")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYLFR_MEDIA", raising=False)
        portraits = find_portraits(None, count=2)
    clip = make_clip(
        ClipRules(faces=2, seconds=2, width=640, height=360), portraits, folder=tmp_path_factory.mktemp("footage")
    )
    embedder = open_embedder("pylfr_nano_embed", threads=1)
    return Setting(
        video=clip,
        detector=open_detector("pylfr_nano_detect", threads=1),
        embedder=embedder,
        gallery=synthetic_watchlist(100, embedder),
        recognition=RecognitionSection(detect_hz=5.0),
        batch=BatchSection(),
    )
