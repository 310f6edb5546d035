"""Real footage with a known truth through the whole engine, scored by pass."""

from __future__ import annotations

from pathlib import Path

from pylfr.evaluation.video.passes import SubjectPass, score_passes
from pylfr.evaluation.video.replay import run_replay
from tests.footage import BOTH, WALKING_AND_PAUSE, save_references, video


def test_a_trial_on_real_footage_finds_who_is_there_and_nobody_else(
    models_dir: Path, media_dir: Path, tmp_path: Path
) -> None:
    people = save_references(media_dir, tmp_path)
    replay = run_replay(
        [video(media_dir, WALKING_AND_PAUSE), video(media_dir, BOTH)],
        {"man": people["man"]},
        detector="yunet_n",
        embedder="face_reid_0095",
    )
    assert {(alert.camera, alert.entry) for alert in replay.raised} == {(BOTH, "man")}
    assert {face.camera for face in replay.compared} == {WALKING_AND_PAUSE, BOTH}
    assert all(0 <= face.at_s < 120 for face in replay.compared)
    assert replay.summary.recognised == len(replay.compared)
    walk = SubjectPass(camera=WALKING_AND_PAUSE, subject="woman", is_mated=False, starts_s=0, ends_s=60)
    here = [face for face in replay.compared if face.camera == WALKING_AND_PAUSE]
    rates = score_passes([walk], here, replay.raised)
    assert rates.fpir.value == 0
    assert rates.strays == 1
