"""The authorised window: each camera by its own times, recordings by theirs, and an end that no clock can put off."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from pylfr.engine.window import AuthorisedWindow
from pylfr.governance.authorisation.authority import RecordingPermit
from tests.engine.test_engine import Diary, Street, build, leave, run
from tests.samples import NOON

CAMERAS = frozenset({"north", "south"})


def test_a_camera_whose_times_lie_outside_is_refused_and_the_other_goes_on() -> None:
    """The clock of one camera jumped: its frames are counted, and the healthy one is analysed to its end."""
    soon = datetime.now(UTC) + timedelta(seconds=5)
    jumped = Street("south", frames=200, at=soon + timedelta(days=1))
    diary = Diary()
    alerts, summary = run(build([Street("north", at=soon), jumped], authority=leave(cameras=CAMERAS), audit=diary))
    assert [alert.camera for alert in alerts] == ["north"]
    assert summary.stopped_because == "every recording has ended"
    assert summary.cameras["north"].detected_frames == 20
    assert summary.cameras["south"].detected_frames == 0
    assert summary.dropped["outside_window"] == summary.cameras["south"].dropped["outside_window"] > 0
    [refused] = [event for event in diary.noted if event.kind == "camera-refused"]
    assert refused.details["camera"] == "south"
    assert "window ended at" in str(refused.details["detail"])


def test_a_recording_without_a_date_is_not_stopped_by_its_own_time_stamps() -> None:
    """Two hours of footage in a few seconds, under a window of one hour."""
    street = Street("north", frames=72, at=datetime.now(UTC))
    street.step = timedelta(seconds=100)
    _, summary = run(build([street], authority=leave(starts=timedelta(minutes=-1)), undated=frozenset({"north"})))
    assert (summary.stopped_because, summary.detected_frames) == ("every recording has ended", 72)


def test_a_recording_with_a_date_must_lie_inside_the_window() -> None:
    street = Street("north", frames=50, at=datetime.now(UTC) - timedelta(days=2))
    _, summary = run(build([street], authority=leave(starts=timedelta(minutes=-1))))
    assert "the authorised window starts at" in summary.stopped_because
    assert (summary.detected_frames, summary.faces) == (0, 0)


def permit(ends_at: datetime) -> RecordingPermit:
    return RecordingPermit(
        purpose="p", place="p", cameras=CAMERAS, starts_at=NOON, ends_at=ends_at, authorising_officer="o",
        legal_basis="l",
    )  # fmt: skip


def test_a_window_that_ends_in_9999_is_watched_without_one_timer_of_8000_years() -> None:
    stopped = threading.Event()
    window = AuthorisedWindow(permit(datetime(9999, 12, 31, tzinfo=UTC)), undated=frozenset())
    failed: list[threading.ExceptHookArgs] = []
    before, threading.excepthook = threading.excepthook, failed.append
    try:
        window.watch(lambda _: stopped.set())
        assert not stopped.wait(0.2)
    finally:
        window.close()
        threading.excepthook = before
    assert failed == []


def test_the_window_ends_by_the_clock_that_it_is_given_and_says_when() -> None:
    now = [NOON]
    stopped: list[str] = []
    done = threading.Event()

    def stop(because: str) -> None:
        stopped.append(because)
        done.set()

    window = AuthorisedWindow(permit(NOON + timedelta(hours=1)), undated=frozenset(), now=lambda: now[0])
    window.watch(stop)
    assert not stopped
    now[0] = NOON + timedelta(hours=1)
    assert done.wait(10)
    assert stopped == [f"the authorised window ended at {now[0].isoformat(timespec='seconds')}"]


def test_a_clock_that_is_set_is_in_the_record_once() -> None:
    diary = Diary()
    engine = build([Street("north")], audit=diary)
    engine._incidents._step_s = 1800.0  # as it was found when the clock had been half an hour ahead
    run(engine)
    [changed] = [event for event in diary.noted if event.kind == "clock-changed"]
    assert round(float(str(changed.details["by_s"]))) == -1800
