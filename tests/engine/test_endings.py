"""However a run ends, the record and the summary name the true cause; what does not end it does not slow it either."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from pylfr.engine.alert_policy import EndedTrack
from pylfr.engine.alert_queue import CAPACITY, AlertQueue
from pylfr.engine.observer import Observer
from pylfr.errors import AuditError, SinkError, WatchlistError
from pylfr.governance.audit.audit import RehearsalAudit
from pylfr.protocols import Gallery
from pylfr.types import Alert, Event, Frame, FrameBatch, Recorded
from tests.engine.test_engine import Collect, Diary, OnePerson, Street, build, leave, run
from tests.samples import sample_alert

PATIENCE_S = 10.0


def ending(diary: Diary) -> str:
    [event] = [event for event in diary.noted if event.kind == "run-ended"]
    return str(event.details["because"])


def test_a_program_that_breaks_off_is_named_as_the_cause_and_not_the_end_of_the_recordings() -> None:
    diary = Diary()
    for _ in build([Street("north", frames=50_000)], audit=diary).run():
        break
    assert ending(diary) == "the program stopped reading alerts before the run had ended"


def test_a_program_that_fails_while_it_reads_is_named_too() -> None:
    diary = Diary()
    engine = build([Street("north", frames=50_000)], audit=diary)

    def read() -> None:
        for _ in engine.run():
            raise ValueError("the program's own mistake")

    with pytest.raises(ValueError, match="own mistake"):
        read()
    assert ending(diary) == "the program stopped reading alerts before the run had ended"


@pytest.mark.parametrize(
    ("error", "because"),
    [
        (WatchlistError("watchlist square is damaged"), "failed: watchlist square is damaged"),
        (ZeroDivisionError("by zero"), "failed: ZeroDivisionError: by zero"),
    ],
)
def test_what_fails_inside_the_run_is_raised_recorded_and_summarised(error: Exception, because: str) -> None:
    class Lost(OnePerson):
        lost = False

        def snapshot(self) -> Gallery:
            if self.lost:
                raise error
            return self

    class LoseIt(Observer):
        def batch_taken(self, batch: FrameBatch) -> None:
            gallery.lost = True

    diary, sink, gallery = Diary(), Collect(), Lost()
    engine = build([Street("north")], audit=diary, gallery=gallery, sinks=[sink], observers=(LoseIt(),))
    with pytest.raises(type(error), match=str(error)):
        run(engine)
    assert ending(diary) == because
    assert sink.closed == 1


def test_an_audit_that_fails_is_what_the_reader_is_told_though_its_end_cannot_be_written() -> None:
    class Full(RehearsalAudit):
        def record(self, alert: Alert) -> Recorded[Alert]:
            raise AuditError("no space left")

        def note(self, event: Event) -> None:
            if event.kind == "run-ended":
                raise AuditError("still no space")

    engine = build([Street("north")], audit=Full())
    with pytest.raises(AuditError, match="no space left"):
        run(engine)
    assert engine.summary().stopped_because == "failed: no space left"
    assert engine.summary().errors == ("no space left", "still no space")


def test_an_engine_runs_once() -> None:
    engine = build([Street("north", frames=2)])
    run(engine)
    with pytest.raises(RuntimeError, match="runs once"):
        run(engine)


class Live(Street):
    """A live camera that gives a frame whenever the engine has taken the one before, until it has given all."""

    def __init__(self, camera: str, *, frames: int, at: datetime) -> None:
        super().__init__(camera, frames=frames, is_live=True, at=at)
        self.taken = threading.Semaphore(1)

    def frames(self) -> Iterator[Frame]:
        for frame in super().frames():
            assert self.taken.acquire(timeout=PATIENCE_S), "the engine waits for the program that reads"
            yield frame


class Takes(Observer):
    def __init__(self, camera: Live) -> None:
        self._camera = camera

    def batch_taken(self, batch: FrameBatch) -> None:
        for _ in batch.frames:
            self._camera.taken.release()


def test_a_program_that_does_not_read_neither_slows_live_cameras_nor_is_load_blamed() -> None:
    camera = Live("north", frames=50, at=datetime.now(UTC))
    diary = Diary()
    engine = build([camera], authority=leave(starts=timedelta(minutes=-1)), audit=diary, observers=(Takes(camera),))
    reading = engine.run()
    next(reading)
    deadline = time.monotonic() + PATIENCE_S
    while not any(event.kind == "run-ended" for event in diary.noted) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ending(diary) == "every recording has ended"
    assert engine.summary().cameras["north"].detected_frames == 50
    assert engine.summary().dropped == {}
    assert not [event for event in diary.noted if event.kind == "camera-slowed"]
    assert list(reading) == []


def alert(number: int) -> Recorded[Alert]:
    return Recorded(value=sample_alert(), sequence=number, recorded_at=datetime.now(UTC))


def test_of_live_cameras_the_oldest_unread_alert_gives_way_and_is_counted() -> None:
    queue = AlertQueue(is_live=True)
    for number in range(CAPACITY + 3):
        queue.put(alert(number))
    queue.close()
    assert [each.sequence for each in queue] == list(range(3, CAPACITY + 3))
    assert queue.unread == 3


def test_recordings_wait_for_whoever_reads_and_no_longer_once_nobody_does() -> None:
    queue = AlertQueue(is_live=False, capacity=1)
    queue.put(alert(0))
    waiting = threading.Thread(target=queue.put, args=(alert(1),))
    waiting.start()
    assert next(iter(queue)).sequence == 0
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    waiting = threading.Thread(target=queue.put, args=(alert(2),))
    waiting.start()
    queue.abandon()
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    assert queue.unread == 2


def test_alerts_that_a_receiver_never_confirmed_are_undelivered() -> None:
    class Dead(Collect):
        def close(self) -> None:
            raise SinkError(f"not delivered: {len(self.sent)}", undelivered=len(self.sent))

    diary = Diary()
    _, summary = run(build([Street("north"), Street("south")], sinks=[Dead(), Collect()], audit=diary))
    assert (summary.alerts, summary.undelivered) == (2, 2)
    assert [event.details["undelivered"] for event in diary.noted if event.kind == "run-ended"] == [2]


def test_a_watchlist_that_cannot_be_read_for_a_while_is_in_the_record_and_so_is_its_return() -> None:
    class Away(OnePerson):
        asked = 0

        @property
        def trouble(self) -> str:
            self.asked += 1
            return "it is locked" if 2 <= self.asked <= 3 else ""

    diary = Diary()
    alerts, summary = run(build([Street("north")], gallery=Away(), audit=diary))
    kinds = [event.kind for event in diary.noted if event.kind.startswith("watchlist")]
    assert kinds == ["watchlist-unreachable", "watchlist-recovered"]
    assert len(alerts) == 1
    assert summary.errors == ("the watchlist cannot be read, its last revision is used: it is locked",)


def test_what_fails_while_the_run_closes_keeps_no_sink_open_and_is_the_recorded_cause() -> None:
    class FailsAtTheEnd(Observer):
        def tracks_ended(self, ended: Sequence[EndedTrack]) -> None:
            raise ZeroDivisionError("by zero")

    diary, sink = Diary(), Collect()
    engine = build([Street("north")], audit=diary, sinks=[sink], observers=(FailsAtTheEnd(),))
    with pytest.raises(ZeroDivisionError):
        run(engine)
    assert sink.closed == 1
    assert ending(diary) == "failed: ZeroDivisionError: by zero"
