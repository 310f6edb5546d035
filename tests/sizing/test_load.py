"""A load is measured for what it was: real frames, real stages, every frame and every drop in the account."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from pylfr.engine.observer import Observer
from pylfr.errors import MediaError
from pylfr.sizing.decode_floor import decode_floor
from pylfr.sizing.load import Setting, run_load
from pylfr.sizing.measured_load import STAGES, Load
from pylfr.types import Faces, FrameBatch
from pylfr.video.sources.looped import LoopedRecording
from tests.sizing.loads import load_of
from tests.video.clips import RATE_HZ, write_clip


@pytest.fixture(scope="module")
def load(setting: Setting) -> Load:
    return run_load(setting, 2, seconds=2.0, stagger_s=1.0, decode_floor_ms=decode_floor(setting.video))


@pytest.mark.parametrize(("not_compared", "why"), [(20, ""), (21, "26% of the faces were not compared in time")])
def test_a_machine_that_sheds_more_than_a_quarter_of_the_comparisons_does_not_hold_its_cameras(
    not_compared: int, why: str
) -> None:
    assert replace(load_of(10, most=20), not_compared=not_compared).why_not_held(250) == why


def test_frames_and_faces_of_all_cameras_are_counted(load: Load) -> None:
    assert load.cameras == 2
    assert load.frames > 0
    assert 0 < load.looked_at <= load.frames
    assert load.faces > 0
    assert load.seen.count > 0
    assert 0 <= load.seen.p50_ms <= load.seen.p99_ms <= load.seen.max_ms
    assert load.errors == ()


def test_processor_time_is_divided_among_the_stages(load: Load) -> None:
    assert tuple(load.cpu_s) == STAGES
    assert load.cpu_s["detect"] > 0
    assert load.cpu_s["decode"] > 0
    assert 0 < load.cores_busy <= 1.1
    assert load.stages["detect"].calls > 0
    assert 0 < load.stages["search"].calls <= load.stages["embed"].calls + 1


class SlowDetection(Observer):
    """Takes 0.3 s a frame longer than detection does."""

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:
        time.sleep(0.3 * len(batch))


def test_a_detector_that_is_too_slow_drops_frames_and_says_which(setting: Setting) -> None:
    load = run_load(setting, 3, seconds=2.5, stagger_s=1.0, decode_floor_ms=1.0, observers=(SlowDetection(),))
    assert load.stages["detect"].wall_s > 1
    assert sum(load.dropped.values()) > 0
    assert load.why_not_held(60_000).startswith("dropped ")


def test_cameras_that_break_off_are_an_error_and_not_a_result(setting: Setting, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    bad = Setting(
        video=broken, detector=setting.detector, embedder=setting.embedder, gallery=setting.gallery,
        recognition=setting.recognition, batch=setting.batch,
    )  # fmt: skip
    with pytest.raises(MediaError, match=r"broken\.mp4"):
        run_load(bad, 1, seconds=1.0, decode_floor_ms=1.0)
    with pytest.raises(MediaError, match=r"broken\.mp4"):
        decode_floor(broken)


def test_a_recording_plays_for_ever_and_its_frames_have_an_age(setting: Setting) -> None:
    camera = LoopedRecording(setting.video, camera="a", pace="as-fast-as-possible")
    assert not camera.is_live
    sequences = []
    for frame in camera.frames():
        sequences.append(frame.sequence)
        if len(sequences) == 120:
            camera.close()
    assert sequences == list(range(120))
    assert camera.age_s(frame.captured_at) < 0, "it was read faster than it plays"


def test_a_recording_closed_before_it_was_read_gives_nothing(setting: Setting) -> None:
    camera = LoopedRecording(setting.video, camera="a", starts_after_s=60)
    camera.close()
    assert list(camera.frames()) == []
    assert camera.is_live


def test_a_recording_of_few_frames_a_second_is_not_taken_for_one_that_is_decoded_late(
    setting: Setting, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "slow.mp4", frames=20)
    load = run_load(replace(setting, video=clip, rate_hz=RATE_HZ), 1, seconds=3.0, stagger_s=0.1, decode_floor_ms=1.0)
    # By the rate of the usual recordings, two thirds of its frames would be late.
    assert 0.6 * RATE_HZ * load.seconds < load.frames < 1.4 * RATE_HZ * load.seconds
    assert load.late < 0.5
