"""Whoever is there is found: after a cut to a darker face at the same place, turned far away, or in view once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.evaluation.video.replay import VideoReplay, run_replay

pytestmark = pytest.mark.usefixtures("models_dir")

PAIRS = [
    ("yunet_n", "face_reid_0095"),
    ("scrfd_500m_kps", "mobilefacenet_y1"),
    ("pylfr_nano_detect", "pylfr_nano_embed"),
]


def run(clip: Path, *people: str, pair: tuple[str, str] = PAIRS[0], comparisons_hz: float | None = None) -> VideoReplay:
    recognition = RecognitionSection(comparisons_hz=comparisons_hz)
    references = {person: [clip.parent / f"{person}.png"] for person in people}
    return run_replay([clip], references, detector=pair[0], embedder=pair[1], recognition=recognition)


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
@pytest.mark.parametrize("clip", ["man_then_woman.mp4", "woman_then_man.mp4"])
def test_whoever_takes_the_place_of_somebody_at_a_cut_alerts_too(
    clip: str, pair: tuple[str, str], cases_dir: Path
) -> None:
    replay = run(cases_dir / clip, "man", "woman", pair=pair)
    assert sorted(alert.entry for alert in replay.raised) == ["man", "woman"]
    assert replay.summary.tracks >= 2
    assert replay.summary.recognised + sum(replay.summary.dropped.values()) == replay.summary.faces


def test_whoever_takes_the_place_alerts_too_where_only_some_faces_can_be_compared(cases_dir: Path) -> None:
    replay = run(cases_dir / "man_then_woman.mp4", "man", "woman", comparisons_hz=3.0)
    assert sorted(alert.entry for alert in replay.raised) == ["man", "woman"]
    assert replay.summary.dropped["not_compared_budget"] > 10


def test_faces_that_are_turned_far_away_are_compared(cases_dir: Path) -> None:
    replay = run(cases_dir / "man_then_woman.mp4", "woman")
    turned = [face for face in replay.compared if face.turn_deg > 50]
    assert len(turned) >= 4
    assert max(score for face in turned for _, score in face.candidates) > 0.4


def test_one_frame_in_two_seconds_is_enough(cases_dir: Path) -> None:
    replay = run(cases_dir / "fps0.5.mp4", "man", "woman")
    assert {alert.entry for alert in replay.raised} == {"man", "woman"}
