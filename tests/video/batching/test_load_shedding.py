"""Under load live cameras are analysed less often: evenly, within bounds, counted, and only while it lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest

from pylfr.types import Frame
from pylfr.video.batching.batcher import Batcher
from pylfr.video.batching.load_shedding import LoadShedder
from pylfr.video.sources.observer import EVERY_CAMERA
from tests.samples import NOON


def windows(pace: LoadShedder, count: int, *, taken: int, lost: int, idle_s: float, start_s: float) -> float:
    """So many windows of a quarter of a second, each alike; the time after them."""
    now_s = start_s
    pace.adapt(now_s)
    for _ in range(count):
        now_s += 0.25
        pace.count(taken=taken, lost=lost, idle_s=idle_s)
        pace.adapt(now_s)
    return now_s


def test_frames_that_are_lost_slow_it_down_step_by_step_to_its_bound() -> None:
    pace = LoadShedder(slowest=4)
    seen = []
    now_s = 0.0
    for _ in range(6):
        now_s = windows(pace, 1, taken=5, lost=5, idle_s=0.0, start_s=now_s)
        seen.append(pace.every)
    assert seen == [2, 3, 4, 4, 4, 4]


def test_the_full_rate_is_back_within_two_seconds_after_the_load_goes() -> None:
    pace = LoadShedder(slowest=4)
    now_s = windows(pace, 10, taken=5, lost=5, idle_s=0.0, start_s=0.0)
    assert pace.every == 4
    windows(pace, 7, taken=2, lost=0, idle_s=0.24, start_s=now_s)
    assert pace.every == 1


def test_a_rate_that_would_be_too_much_again_is_not_tried() -> None:
    pace = LoadShedder(slowest=4)
    now_s = windows(pace, 10, taken=5, lost=5, idle_s=0.0, start_s=0.0)
    windows(pace, 20, taken=5, lost=0, idle_s=0.25 * 0.3, start_s=now_s)
    assert pace.every == 4


def test_a_few_lost_frames_change_nothing() -> None:
    pace = LoadShedder(slowest=4)
    windows(pace, 20, taken=19, lost=1, idle_s=0.0, start_s=0.0)
    assert pace.every == 1


def test_one_hiccup_of_a_single_camera_changes_nothing() -> None:
    pace = LoadShedder(slowest=4)
    now_s = 0.0
    for lost in (0, 1, 0, 0, 0, 0, 0, 0):
        now_s = windows(pace, 1, taken=2 - lost, lost=lost, idle_s=0.2, start_s=now_s)
        assert pace.every == 1


def test_a_single_camera_that_loses_every_other_frame_is_slowed_down() -> None:
    pace = LoadShedder(slowest=4)
    windows(pace, 8, taken=1, lost=1, idle_s=0.0, start_s=0.0)
    assert pace.every == 3


def test_where_no_slower_rate_is_allowed_it_stays() -> None:
    pace = LoadShedder(slowest=1)
    windows(pace, 20, taken=1, lost=9, idle_s=0.0, start_s=0.0)
    assert pace.every == 1
    with pytest.raises(ValueError, match="slowest"):
        LoadShedder(slowest=0)


class SteppingCamera:
    """A live camera that sends a frame whenever it is told to, at 10 Hz by its own clock."""

    is_live = True

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self._told = threading.Semaphore(0)
        self._sent = threading.Semaphore(0)
        self._closed = False

    def send(self) -> None:
        self._told.release()
        assert self._sent.acquire(timeout=10)

    def frames(self) -> Iterator[Frame]:
        number = 0
        while True:
            self._told.acquire()
            if self._closed:
                return
            yield Frame(
                camera=self.camera,
                sequence=number,
                captured_at=NOON + timedelta(seconds=number / 10),
                planes=(np.zeros((4, 4, 3), np.uint8),),
                layout="rgb",
            )
            number += 1
            self._sent.release()

    def close(self) -> None:
        self._closed = True
        self._told.release()


def test_twice_too_many_frames_are_skipped_evenly_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("pylfr.video.batching.batcher.time.monotonic", lambda: clock[0])
    cameras = [SteppingCamera(name) for name in ("a", "b", "c")]
    batcher = Batcher(cameras, size=3, wait_ms=0, detect_hz=10.0, min_detect_hz=2.5)
    with batcher as batches:
        taking = iter(batches)
        for _ in range(30):
            # Four frames of each camera come while one batch is worked on.
            for camera in cameras:
                for _ in range(4):
                    camera.send()
            clock[0] += 0.3
            next(taking)
        counts = batcher.counts()
        events = [event for event in batcher.take_events() if event.kind == "slowed"]
    assert [event.camera for event in events] == [EVERY_CAMERA] * 3
    assert "2.5 times a second" in events[-1].detail
    shares = [counts[name].passed_on for name in "abc"]
    assert max(shares) - min(shares) <= 2
    for count in counts.values():
        assert count.dropped["rate_lowered"] > count.dropped["superseded"]
        # One frame may wait, and one may just be on its way.
        assert count.came - count.not_due - count.passed_on - sum(count.dropped.values()) in (0, 1)


def test_a_recording_is_never_thinned() -> None:
    camera = SteppingCamera("a")
    camera.is_live = False
    batcher = Batcher([camera], size=1, wait_ms=0, detect_hz=10.0, min_detect_hz=1.0)
    with batcher as batches:
        taking = iter(batches)
        for _ in range(20):
            camera.send()
            next(taking)
        assert batcher.counts()["a"].dropped == {}


def test_a_floor_above_the_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="min_detect_hz must be more than 0 and at most 8"):
        Batcher([], detect_hz=8.0, min_detect_hz=9.0)
