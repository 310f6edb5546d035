from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import MediaError
from pylfr.types import Frame, FrameBatch
from pylfr.video.batching.batcher import Batcher
from pylfr.video.batching.camera_queue import CameraCounts
from pylfr.video.open import open_file
from tests.samples import NOON
from tests.video.clips import cut, write_clip

PATIENCE_S = 10.0


def frame_of(camera: str, number: int, *, rate_hz: float = 10.0) -> Frame:
    return Frame(
        camera=camera,
        sequence=number,
        captured_at=NOON + timedelta(seconds=number / rate_hz),
        planes=(np.zeros((2, 2, 3), np.uint8),),
        layout="rgb",
    )


class Recording:
    """So many frames, and then perhaps an error."""

    def __init__(self, camera: str, count: int, *, error: Exception | None = None) -> None:
        self.camera = camera
        self.is_live = False
        self.given = 0
        self.closed = threading.Event()
        self._count = count
        self._error = error

    def frames(self) -> Iterator[Frame]:
        for number in range(self._count):
            self.given += 1
            yield frame_of(self.camera, number)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed.set()


class Pushed:
    """A live camera whose frames come when the test pushes them."""

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self.is_live = True
        self._changed = threading.Condition()
        self._pushed = 0
        self._taken = 0
        self._closed = False

    def push(self, count: int = 1) -> None:
        """Send ``count`` frames and wait until the decode thread has dealt with all of them."""
        with self._changed:
            self._pushed += count
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._taken > self._pushed, timeout=PATIENCE_S)

    def frames(self) -> Iterator[Frame]:
        number = 0
        while True:
            with self._changed:
                # Being asked for the next frame says that the one before has been dealt with.
                self._taken += 1
                self._changed.notify_all()
                while not self._closed and self._pushed <= number:
                    self._changed.wait()
                if self._closed:
                    return
            yield frame_of(self.camera, number)
            number += 1

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def run(batcher: Batcher, each: Callable[[FrameBatch], None] = lambda _: None) -> list[FrameBatch]:
    collected = []
    with batcher as batches:
        for batch in batches:
            collected.append(batch)
            each(batch)
    return collected


def names(batches: list[FrameBatch]) -> list[list[str]]:
    return [[f"{frame.camera}{frame.sequence}" for frame in batch.frames] for batch in batches]


def decode_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("pylfr-decode-")]


def balance(counts: CameraCounts) -> int:
    """How many decoded frames are not accounted for."""
    return counts.came - counts.not_due - counts.passed_on - sum(counts.dropped.values())


def test_without_cameras_there_are_no_batches() -> None:
    assert run(Batcher([])) == []


def test_a_recording_without_frames_gives_no_batch() -> None:
    batcher = Batcher([Recording("a", 0)])
    assert run(batcher) == []
    assert batcher.counts()["a"].state == "ended"


def test_a_recording_of_one_frame_gives_one_batch() -> None:
    assert names(run(Batcher([Recording("a", 1)]))) == [["a0"]]


@pytest.mark.parametrize("size", [1, 3, 16])
def test_every_frame_of_every_recording_comes_once_and_in_order(size: int) -> None:
    sources = [Recording("a", 50), Recording("b", 1), Recording("c", 31)]
    batcher = Batcher(sources, size=size, detect_hz=None)
    batches = run(batcher)
    assert all(0 < len(batch) <= size for batch in batches)
    order: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for batch in batches:
        for frame in batch.frames:
            order[frame.camera].append(frame.sequence)
    assert order == {"a": list(range(50)), "b": [0], "c": list(range(31))}
    for counts in batcher.counts().values():
        assert (counts.state, counts.dropped, counts.error, balance(counts)) == ("ended", {}, None, 0)


def test_a_recording_is_held_back_while_nobody_takes_its_frames() -> None:
    source = Recording("a", 1_000)
    with Batcher([source], size=2, detect_hz=None) as batcher:
        batches = iter(batcher)
        next(batches)
        # Two were taken, three may wait, one waits for room and the next was asked for at most.
        assert source.given <= 7
        next(batches)
        assert source.given <= 9


def test_the_two_newest_frames_of_a_live_camera_win_and_the_others_are_counted() -> None:
    source = Pushed("a")
    with Batcher([source], detect_hz=None, wait_ms=0) as batcher:
        source.push(5)
        batch = next(iter(batcher))
        counts = batcher.counts()["a"]
    assert names([batch]) == [["a3", "a4"]]
    assert (counts.came, counts.passed_on, counts.dropped) == (5, 2, {"superseded": 3})
    assert counts.last_frame_at == frame_of("a", 4).captured_at


def test_one_cameras_silence_does_not_hold_the_others_back() -> None:
    silent, busy = Pushed("silent"), Pushed("busy")
    with Batcher([silent, busy], detect_hz=None, wait_ms=5) as batcher:
        batches = iter(batcher)
        for number in range(3):
            busy.push()
            assert names([next(batches)]) == [[f"busy{number}"]]


def test_a_batch_goes_out_when_no_camera_can_add_to_it() -> None:
    sources = [Pushed("a"), Pushed("b")]
    # Waiting for the deadline would take a minute.
    with Batcher(sources, detect_hz=None, size=16, wait_ms=60_000) as batcher:
        for source in sources:
            source.push()
        assert names([next(iter(batcher))]) == [["a0", "b0"]]


def test_cameras_take_turns_where_more_wait_than_fit() -> None:
    sources = [Pushed(name) for name in "abcde"]
    served: Counter[str] = Counter()
    with Batcher(sources, detect_hz=None, size=2, wait_ms=60_000) as batcher:
        batches = iter(batcher)
        for _ in range(5):
            for source in sources:
                source.push()
            served.update(frame.camera for frame in next(batches).frames)
    assert served == Counter("aabbccddee")


def test_frames_are_detected_at_the_wanted_rate_and_the_others_counted() -> None:
    batcher = Batcher([Recording("a", 100)], detect_hz=2.0)
    sequences = [frame.sequence for batch in run(batcher) for frame in batch.frames]
    assert sequences == list(range(0, 100, 5))
    counts = batcher.counts()["a"]
    assert (counts.came, counts.passed_on, counts.not_due, balance(counts)) == (100, 20, 80, 0)


def test_a_failing_camera_is_reported_and_the_others_go_on() -> None:
    sources = [Recording("bad", 3, error=MediaError("video bad must hold 9 s, got 3 frames")), Recording("good", 40)]
    batcher = Batcher(sources, detect_hz=None)
    served = Counter(frame.camera for batch in run(batcher) for frame in batch.frames)
    assert served == {"bad": 3, "good": 40}
    assert (batcher.counts()["bad"].state, batcher.counts()["good"].state) == ("failed", "ended")
    assert batcher.counts()["bad"].error == "video bad must hold 9 s, got 3 frames"
    events = {(event.camera, event.kind, event.detail) for event in batcher.take_events()}
    assert events == {
        ("bad", "failed", "video bad must hold 9 s, got 3 frames"),
        ("good", "ended", "after 40 frames"),
    }
    assert batcher.take_events() == ()


def test_a_camera_for_which_no_file_can_be_opened_names_the_limit_and_the_others_go_on() -> None:
    sources = [Recording("bad", 3, error=OSError(errno.EMFILE, "Too many open files")), Recording("good", 40)]
    batcher = Batcher(sources, detect_hz=None)
    assert Counter(frame.camera for batch in run(batcher) for frame in batch.frames) == {"bad": 3, "good": 40}
    assert "(`ulimit -n` shows and raises it)" in (batcher.counts()["bad"].error or "")


def test_a_mistake_in_one_source_does_not_end_the_others() -> None:
    batcher = Batcher([Recording("bad", 0, error=ZeroDivisionError("oh")), Recording("good", 5)], detect_hz=None)
    assert sum(len(batch) for batch in run(batcher)) == 5
    assert batcher.counts()["bad"].error == "ZeroDivisionError: oh"


def test_stopping_from_another_thread_ends_a_waiting_iteration() -> None:
    source = Pushed("a")
    batcher = Batcher([source])
    stopper = threading.Timer(0.05, batcher.stop)
    stopper.start()
    assert run(batcher) == []
    stopper.join()
    assert batcher.counts()["a"].state == "stopped"
    assert not decode_threads()


def test_leaving_in_the_middle_ends_every_thread_and_counts_what_waited() -> None:
    sources = [Recording(name, 10_000) for name in "abc"]
    batcher = Batcher(sources, size=4, detect_hz=None)
    with pytest.raises(KeyboardInterrupt):
        run(batcher, each=interrupt)
    assert not decode_threads()
    assert all(source.closed.is_set() for source in sources)
    for counts in batcher.counts().values():
        assert counts.state == "stopped"
        assert counts.dropped["stopped"] > 0
        assert balance(counts) == 0


def interrupt(_: FrameBatch) -> None:
    raise KeyboardInterrupt


def test_a_batcher_that_was_stopped_before_it_started_gives_nothing() -> None:
    batcher = Batcher([Recording("a", 5)])
    batcher.stop()
    batcher.stop()
    assert run(batcher) == []


def test_no_thread_starts_before_it_is_asked_for() -> None:
    batcher = Batcher([Recording("a", 5)])
    assert not decode_threads()
    with pytest.raises(RuntimeError, match="must be started"):
        next(iter(batcher))


def test_a_batcher_runs_once() -> None:
    batcher = Batcher([])
    run(batcher)
    with pytest.raises(RuntimeError, match="runs once"):
        batcher.start()


def test_two_cameras_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="every camera must have a name of its own, got 'a' twice"):
        Batcher([Recording("a", 1), Recording("a", 1)])


@pytest.mark.parametrize(
    ("size", "wait_ms", "detect_hz", "complaint"),
    [
        (0, 20.0, 8.0, "size must be 1 or more, got 0"),
        (1, -1.0, 8.0, "wait_ms must be 0 or more, got -1"),
        (1, 20.0, 0.0, "detect_hz must be more than 0, or None for every frame, got 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(size: int, wait_ms: float, detect_hz: float, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Batcher([Recording("a", 1)], size=size, wait_ms=wait_ms, detect_hz=detect_hz)


def test_cameras_come_and_go_while_it_runs() -> None:
    first, second = Pushed("first"), Pushed("second")
    with Batcher([first], detect_hz=None, wait_ms=0) as batcher:
        batches = iter(batcher)
        first.push()
        assert names([next(batches)]) == [["first0"]]
        batcher.add(second)
        assert batcher.cameras == {"first", "second"}
        gone = batcher.remove("first")
        assert (gone.state, gone.passed_on) == ("stopped", 1)
        second.push()
        assert names([next(batches)]) == [["second0"]]
        assert batcher.cameras == {"second"}
        with pytest.raises(KeyError):
            batcher.remove("first")


def test_whether_any_camera_is_live_is_known() -> None:
    assert not Batcher([Recording("a", 1)]).is_live
    assert Batcher([Recording("a", 1), Pushed("b")]).is_live


def test_real_recordings_give_the_same_frames_together_as_alone(tmp_path: Path) -> None:
    paths = {name: write_clip(tmp_path / f"{name}.mp4", frames=20 + 10 * place) for place, name in enumerate("abc")}

    def lumas(cameras: str) -> dict[tuple[str, int], int]:
        sources = [open_file(paths[name], camera=name, started_at=NOON) for name in cameras]
        batches = run(Batcher(sources, size=4, detect_hz=None))
        return {(f.camera, f.sequence): int(f.planes[0].sum()) for batch in batches for f in batch.frames}

    alone = lumas("a") | lumas("b") | lumas("c")
    assert len(alone) == 20 + 30 + 40
    assert lumas("abc") == alone


def test_a_truncated_recording_among_others_is_reported_with_what_it_held(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "a.mkv", frames=100, codec="mjpeg", pixels="yuvj420p")
    sources = [
        open_file(whole, camera="whole", started_at=NOON),
        open_file(cut(whole, 0.5), camera="cut", started_at=NOON),
    ]
    batcher = Batcher(sources, detect_hz=None)
    served = Counter(frame.camera for batch in run(batcher) for frame in batch.frames)
    counts = batcher.counts()
    assert served["whole"] == 100
    assert served["cut"] == counts["cut"].came < 100
    assert counts["cut"].state == "failed"
    assert "cut off or damaged" in (counts["cut"].error or "")


def test_a_frame_that_waited_long_enough_already_is_not_made_to_wait_again() -> None:
    left, right = Pushed("left"), Pushed("right")
    with Batcher([left, right], size=4, wait_ms=5_000.0, detect_hz=None) as batches:
        left.push()
        lane = batches._lanes["left"]
        # Whoever asks now comes as late as one who was busy with another batch for that long.
        lane._since_s[0] -= 6
        began = time.monotonic()
        (frame,) = next(iter(batches)).frames
        assert frame.camera == "left"
        assert time.monotonic() - began < 4


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux does a thread have a niceness of its own")
def test_decode_threads_give_way_to_the_loop_that_serves_all_cameras() -> None:
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    seen: list[int] = []

    class Curious(Recording):
        def frames(self) -> Iterator[Frame]:
            seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().frames()

    with Batcher([Curious("left", 1)]) as batches:
        assert len(list(batches)) == 1
    assert seen == [min(19, mine + 10)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine


def test_whoever_does_not_wait_gets_a_batch_where_one_is_due_and_nothing_else() -> None:
    camera, other = Pushed("a"), Pushed("b")
    with pytest.raises(RuntimeError, match="inside `with batcher:`"):
        Batcher([camera]).take(wait=False)
    with Batcher([camera, other], size=2, wait_ms=60_000, detect_hz=None) as batcher:
        assert batcher.take(wait=False) is None, "no frame came yet"
        camera.push()
        assert batcher.take(wait=False) is None, "a frame waits, and may wait for more to come"
        other.push()
        batch = batcher.take(wait=False)
        assert batch is not None
        assert sorted(frame.camera for frame in batch.frames) == ["a", "b"]
        assert batcher.take(wait=False) is None
        camera.push()
        batcher.stop()
        assert batcher.take(wait=False) is None
        assert batcher.take() is None
    with Batcher([camera := Pushed("a"), Pushed("b")], size=2, wait_ms=0, detect_hz=None) as batcher:
        camera.push()
        assert batcher.take(wait=False) is not None, "it has waited for as long as it may"
