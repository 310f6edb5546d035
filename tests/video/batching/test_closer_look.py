"""While somebody in view is undecided a camera is analysed more often: exactly in recordings, as time allows live."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np
import pytest

from pylfr.types import Frame, FrameBatch
from pylfr.video.batching.batcher import Batcher
from pylfr.video.batching.closer_look import CLOSER_LOOK_SHED, LAG_S, CloserLook
from pylfr.video.batching.load_shedding import LoadShedder
from tests.samples import NOON

RATE = 25


def frame_at(number: int, *, camera: str = "gate") -> Frame:
    return Frame(
        camera=camera,
        sequence=number,
        captured_at=NOON + timedelta(seconds=number / RATE),
        planes=(np.zeros((2, 2, 3), np.uint8),),
        layout="rgb",
    )


class Recording:
    """So many frames, 25 a second."""

    is_live = False

    def __init__(self, count: int, *, camera: str = "gate") -> None:
        self.camera = camera
        self._count = count

    def frames(self) -> Iterator[Frame]:
        return (frame_at(number, camera=self.camera) for number in range(self._count))

    def close(self) -> None:
        pass


def analysed(batcher: Batcher, is_undecided: Callable[[int], bool], *, slowly: Callable[[], None]) -> list[int]:
    """The numbers of the frames that are taken; those that ``is_undecided`` leave somebody undecided."""
    taken = []
    with batcher as batches:
        for batch in batches:
            slowly()
            taken += [frame.sequence for frame in batch.frames]
            batches.decided(batch.frames, [is_undecided(frame.sequence) for frame in batch.frames])
    return taken


def test_an_undecided_face_brings_the_frames_that_follow_and_nobody_brings_none() -> None:
    batcher = Batcher([Recording(50)], detect_hz=5.0, closer_hz=RATE)
    taken = analysed(batcher, lambda number: number == 10, slowly=lambda: None)
    lag, length = round(LAG_S * RATE + 0.5), RATE // 5
    assert [number for number in taken if number % 5] == [n for n in range(10 + lag, 10 + lag + length) if n % 5]
    assert [number for number in taken if number % 5 == 0] == list(range(0, 50, 5))
    counts = batcher.counts()["gate"]
    assert counts.closer == len(taken) - 10
    assert counts.came == counts.not_due + counts.passed_on == 50


def test_closer_frames_count_on_when_a_camera_comes_back() -> None:
    with Batcher([Recording(50)], detect_hz=5.0, closer_hz=RATE, stays_open=True) as batcher:

        def until_it_ends() -> None:
            while batcher.counts()["gate"].state != "ended" or batcher.counts()["gate"].waiting:
                if (batch := batcher.take(wait=False)) is not None:
                    batcher.decided(batch.frames, [True] * len(batch.frames))

        until_it_ends()
        first = batcher.remove("gate")
        batcher.add(Recording(50))
        until_it_ends()
        counts = batcher.counts()["gate"]
    assert first.closer > 0
    assert (counts.came, counts.closer) == (2 * first.came, 2 * first.closer)
    assert counts.came == counts.not_due + counts.passed_on


@pytest.mark.parametrize("seed", range(3))
def test_the_same_recording_gives_the_same_frames_however_fast_it_is_analysed(seed: int) -> None:
    draw = random.Random(seed)
    batcher = Batcher([Recording(200)], size=draw.choice([1, 3, 16]), wait_ms=1, detect_hz=8.0, closer_hz=16.0)
    taken = analysed(batcher, lambda number: number % 7 < 3, slowly=lambda: time.sleep(draw.choice([0, 0, 0.004])))
    reference = Batcher([Recording(200)], size=1, detect_hz=8.0, closer_hz=16.0)
    assert taken == analysed(reference, lambda number: number % 7 < 3, slowly=lambda: None)
    assert len(taken) > 70


def test_no_more_frames_are_taken_than_asked_for() -> None:
    taken = analysed(Batcher([Recording(100)], detect_hz=5.0, closer_hz=12.5), lambda _: True, slowly=lambda: None)
    assert len(taken) == pytest.approx(50, abs=4)


@pytest.mark.parametrize("closer_hz", [None, 0.0, 5.0])
def test_without_a_closer_look_nobody_need_say_what_was_decided(closer_hz: float | None) -> None:
    with Batcher([Recording(50)], detect_hz=5.0, closer_hz=closer_hz) as batches:
        assert sum(map(len, batches)) == 10


def test_a_recording_that_waits_for_a_decision_does_not_hold_back_the_batch() -> None:
    """Nothing more comes before something is decided, so that a batch that is not full goes out at once."""
    batcher = Batcher([Recording(100)], size=64, wait_ms=60_000, detect_hz=5.0, closer_hz=RATE)
    taken = analysed(batcher, lambda _: False, slowly=lambda: None)
    assert taken == list(range(0, 100, 5))


def test_a_recording_that_waits_for_a_decision_ends_when_it_is_told_to() -> None:
    batcher = Batcher([Recording(100)], size=1, detect_hz=5.0, closer_hz=RATE)
    with batcher as batches:
        assert isinstance(batches.take(), FrameBatch)
        batches.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "pylfr-decode-gate"]


def test_a_live_camera_is_looked_at_at_once_and_until_soon_after_the_last_doubt() -> None:
    look = CloserLook(detect_hz=5.0, hz=25.0, is_live=True)
    times = [NOON + timedelta(seconds=number / RATE) for number in range(50)]
    assert look.is_known(times[5])
    assert not look.wants(times[1])
    look.decided(times[0], left_undecided=True)
    wanted = [number for number in range(1, 50) if look.wants(times[number])]
    assert wanted == list(range(1, round((LAG_S + 0.2) * RATE + 0.5)))


class Stepped:
    """A live camera that sends a frame whenever it is told to."""

    camera = "gate"
    is_live = True

    def __init__(self) -> None:
        self._told, self._asked, self._closed = threading.Semaphore(0), threading.Semaphore(0), False

    def send(self) -> None:
        self._told.release()
        assert self._asked.acquire(timeout=10)

    def frames(self) -> Iterator[Frame]:
        number = 0
        while self._told.acquire() and not self._closed:
            yield frame_at(number)
            number += 1
            self._asked.release()

    def close(self) -> None:
        self._closed = True
        self._told.release()


def test_a_live_camera_decodes_more_frames_only_while_they_are_wanted_and_can_be_looked_at() -> None:
    camera = Stepped()
    batcher = Batcher([camera], size=1, wait_ms=0, detect_hz=5.0, closer_hz=RATE)
    with batcher:
        queue = batcher._lanes["gate"]
        camera.send()
        assert (queue.rate_hz, queue.rate_now_hz) == (RATE, 5.0)
        first = batcher.take()
        assert first is not None
        batcher.decided(first.frames, [True])
        assert queue.rate_now_hz == RATE
        batcher._pace._closer_share = 0.0
        assert queue.rate_now_hz == 5.0


def test_a_live_camera_is_told_when_its_next_frame_is_due_and_at_once_where_somebody_is_undecided() -> None:
    camera = Stepped()
    batcher = Batcher([camera], size=1, wait_ms=0, detect_hz=5.0, closer_hz=RATE)
    with batcher:
        due = batcher._lanes["gate"].due
        assert due is not None
        assert due.at_s == 0.0
        before_s = time.monotonic()
        camera.send()
        first = batcher.take()
        assert first is not None
        assert before_s + 0.19 < due.at_s < time.monotonic() + 0.2
        batcher.decided(first.frames, [False])
        assert due.at_s > before_s
        batcher.decided(first.frames, [True])
        assert due.at_s == 0.0
        camera.send()
        assert due.at_s == 0.0


def test_live_frames_for_a_closer_look_are_given_up_first_and_counted() -> None:
    camera = Stepped()
    batcher = Batcher([camera], size=1, wait_ms=0, detect_hz=5.0, closer_hz=RATE)
    with batcher:
        camera.send()
        first = batcher.take()
        assert first is not None
        batcher.decided(first.frames, [True])
        # Nobody takes a batch meanwhile: what waits already is not replaced by a closer look.
        for _ in range(4):
            camera.send()
        second = batcher.take()
        assert second is not None
        assert second.frames[0].sequence == 1
        counts = batcher.counts()["gate"]
        assert counts.dropped == {CLOSER_LOOK_SHED: 3}
        assert batcher._lanes["gate"].rate_now_hz == RATE
        assert counts.closer == 1


def test_closer_looks_end_under_load_and_come_back_by_steps() -> None:
    pace = LoadShedder(slowest=4)
    assert all(pace.takes_closer() for _ in range(10))

    def window(now_s: float, *, idle_s: float, lost: int = 0) -> float:
        pace.count(taken=8, lost=lost, idle_s=idle_s)
        pace.adapt(now_s + 0.25)
        return now_s + 0.25

    pace.adapt(0.0)
    now_s = window(0.0, idle_s=0.0)
    assert sum(pace.takes_closer() for _ in range(100)) == 50
    now_s = window(now_s, idle_s=0.0, lost=1)
    assert not any(pace.takes_closer() for _ in range(100))
    assert not pace.has_time_left
    shares = []
    for _ in range(6):
        now_s = window(now_s, idle_s=0.2)
        shares.append(round(sum(pace.takes_closer() for _ in range(100)) / 100, 2))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert shares[0] < 0.5
