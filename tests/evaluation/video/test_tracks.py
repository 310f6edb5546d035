"""Non-mated passes as material for a threshold: each pass counts once, whatever became of its tracks."""

from __future__ import annotations

import numpy as np
import pytest

from pylfr.errors import ConfigError
from pylfr.evaluation.calibration import calibrate
from pylfr.evaluation.video.passes import Box, Compared, Fused, SubjectPass
from pylfr.evaluation.video.tracks import non_mated_tracks

BOX: Box = (0, 0, 40, 40)


def _pass(subject: str, start: float, *, mated: bool = False) -> SubjectPass:
    return SubjectPass(camera="gate", subject=subject, is_mated=mated, starts_s=start, ends_s=start + 2)


def _face(track: int, at_s: float) -> Compared:
    return Compared(
        camera="gate", track_id=track, at_s=at_s, box=BOX, quality=50, interocular_px=20, sharpness=50,
        brightness=0.5, turn_deg=5, candidates=(), is_full=False,
    )  # fmt: skip


def _fused(track: int, score: float | None) -> Fused:
    return Fused(camera="gate", track_id=track, score=score, entry=None if score is None else "Ada")


def test_a_pass_reaches_what_the_best_of_its_tracks_reaches() -> None:
    truth = [_pass("B", 0), _pass("C", 10), _pass("Ada", 20, mated=True), _pass("D", 30)]
    compared = [_face(1, 0.5), _face(2, 1.5), _face(3, 11), _face(4, 21), _face(9, 60)]
    fused = [_fused(1, 0.2), _fused(2, 0.4), _fused(3, None), _fused(4, 0.9), _fused(9, 0.8)]
    found = non_mated_tracks(truth, compared, fused, ["Ada", "Eve"])
    assert found.non_mated.best.tolist() == [0.4, -1.0, -1.0]
    assert [found.names[each] for each in found.non_mated.person] == ["B", "C", "D"]
    assert found.names[found.non_mated.entry[0]] == "Ada"
    assert (found.passes, found.non_mated.searched, found.non_mated.watchlist_size) == (3, 3, 2)
    assert sum(found.conditions["brightness"]) == 5


def test_a_threshold_follows_from_passes_as_from_photographs() -> None:
    draw = np.random.default_rng(5)
    truth = [_pass(f"P{index}", 10.0 * index) for index in range(1200)]
    compared = [_face(index, 10.0 * index + 1) for index in range(1200)]
    scores = draw.normal(0.3, 0.05, 1200)
    fused = [_fused(index, float(score)) for index, score in enumerate(scores)]
    found = non_mated_tracks(truth, compared, fused, ["Ada", *(f"W{number}" for number in range(49))])
    threshold = calibrate(found.non_mated, 0.01, watchlist_size=50)
    assert float(np.quantile(scores, 0.98)) < threshold.value < 0.6


def test_passes_of_nobody_but_those_on_the_watchlist_are_refused() -> None:
    with pytest.raises(ConfigError, match="all 1 passes are mated"):
        non_mated_tracks([_pass("Ada", 0, mated=True)], [], [], ["Ada"])
