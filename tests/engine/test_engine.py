"""The loop: refuses without authority, records before it sends, drops nothing uncounted, and ends cleanly."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pylfr.engine.alert_policy import AlertPolicy, AlertRules
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Comparison, Observer, Observers
from pylfr.engine.stages import EngineLimits, Stages
from pylfr.engine.summary import Summary
from pylfr.errors import AuditError, AuthorisationError, MediaError, SinkError
from pylfr.faces.best_shots import BestShotSelector, SelectionRules
from pylfr.faces.quality import QualityGate
from pylfr.faces.recognise import FaceRecogniser
from pylfr.faces.template_pool import ProbePool
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.governance.adjudication.case import Verdict
from pylfr.governance.adjudication.database import open_records
from pylfr.governance.adjudication.false_alert_limit import FalseAlertCeiling, NoCeiling
from pylfr.governance.adjudication.review import Review
from pylfr.governance.audit.audit import RehearsalAudit, open_audit
from pylfr.governance.authorisation.authority import RecordingPermit, Rehearsal
from pylfr.protocols import Audit, Authority, Ceiling, Detector, Gallery, Sink, Source
from pylfr.types import (
    Alert,
    Candidates,
    Event,
    Faces,
    Float32,
    Frame,
    Recorded,
    Reference,
    Templates,
    UInt8,
    as_frames,
)
from pylfr.video.batching.batcher import Batcher
from pylfr.video.sources.replay_detection import ReplayCheckedSource, ReplayRules
from tests.governance.reviews import deploy, enter, words_of
from tests.governance.samples import authorisation
from tests.samples import NOON, faces_at

MODEL = "ab" * 32
DIMENSION = 8
PATIENCE_S = 10.0
WANTED = np.eye(DIMENSION, dtype=np.float32)[0]


class Street:
    """A camera of grey frames, ten a second; it may end in an error."""

    def __init__(
        self,
        camera: str,
        *,
        frames: int = 20,
        error: MediaError | None = None,
        is_live: bool = False,
        at: datetime = NOON,
    ) -> None:
        self.camera = camera
        self.is_live = is_live
        self._frames = frames
        self._error = error
        self._at = at
        self._closed = False
        self.step = timedelta(milliseconds=100)

    def frames(self) -> Iterator[Frame]:
        for number in range(self._frames):
            if self._closed:
                return
            yield Frame(
                camera=self.camera,
                sequence=number,
                captured_at=self._at + number * self.step,
                planes=(np.full((240, 320, 3), 99, np.uint8),),
                layout="rgb",
            )
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self._closed = True


class Crowd:
    """A detector that sees the same faces in every frame."""

    model = "cd" * 32

    def __init__(self, boxes: list[list[float]]) -> None:
        self._boxes = boxes

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        each = [faces_at(self._boxes, frame_index=index) for index in range(len(as_frames(images)))]
        return Faces(
            frame_index=np.concatenate([faces.frame_index for faces in each]),
            boxes=np.concatenate([faces.boxes for faces in each]),
            scores=np.concatenate([faces.scores for faces in each]),
            landmarks=np.concatenate([faces.landmarks for faces in each]),
        )


class Ahead(Crowd):
    """A detector that works by itself; ``diary`` says when it was given a batch, and when asked for its faces."""

    def __init__(self, boxes: list[list[float]], diary: list[str]) -> None:
        super().__init__(boxes)
        self.before_begin: Callable[[], None] = lambda: None
        self._diary = diary
        self._begun = 0

    def begin(self, images: Sequence[Frame | UInt8]) -> Callable[[], Faces]:
        self.before_begin()
        number = self._begun
        self._begun += 1
        self._diary.append(f"begun {number}")

        def faces() -> Faces:
            self._diary.append(f"asked {number}")
            return self.detect(images)

        return faces


class SameFace:
    """An embedder to which every face is the wanted one; it remembers where it wrote."""

    model = MODEL
    dimension = DIMENSION
    side_px = 4
    landmark_template = np.zeros((5, 2), np.float32)

    def __init__(self) -> None:
        self.written: list[Float32] = []

    def align(self, frames: Sequence[Frame], faces: Faces) -> Float32:
        return np.zeros((len(faces), 3, 4, 4), np.float32)

    def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
        assert out is not None, "the engine must say where probes go"
        out[:] = WANTED
        self.written.append(out)
        return Templates(vectors=out, model=MODEL)


class OnePerson:
    """A gallery of one entry, and the source of itself."""

    model = MODEL
    revision = 5

    def __len__(self) -> int:
        return 1

    def refresh(self) -> None:
        """Nothing ever changes."""

    @property
    def trouble(self) -> str:
        return ""

    def snapshot(self) -> Gallery:
        return self

    def close(self) -> None: ...

    def search(self, probes: Templates, k: int) -> Candidates:
        scores = np.full((len(probes), k), -1, np.float32)
        entry = np.full((len(probes), k), -1, np.int64)
        scores[:, 0], entry[:, 0] = probes.vectors @ WANTED, 0
        return Candidates(scores=scores, entry=entry)

    def reference(self, entry: int) -> Reference:
        return Reference(entry=entry, name="Ada", picture=np.zeros((8, 8, 3), np.uint8))


class Lookalike(OnePerson):
    """A gallery whose entry everybody resembles a little too little."""

    def search(self, probes: Templates, k: int) -> Candidates:
        found = super().search(probes, k)
        return Candidates(scores=np.minimum(found.scores, np.float32(0.45)), entry=found.entry)


class Collect:
    """A sink that keeps what it is sent, or refuses it."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.sent: list[Recorded[Alert]] = []
        self.closed = 0
        self._refuses = refuses

    def send(self, recorded: Recorded[Alert]) -> None:
        if self._refuses:
            raise SinkError("the line is down")
        self.sent.append(recorded)

    def close(self) -> None:
        self.closed += 1


class FullDisk:
    """An audit that cannot write."""

    def record(self, alert: Alert) -> Recorded[Alert]:
        raise AuditError("no space left")

    def note(self, event: Event) -> None: ...

    def close(self) -> None: ...


def build(
    sources: Sequence[Source],
    *,
    boxes: list[list[float]] | None = None,
    detector: Detector | None = None,
    authority: Authority | None = None,
    ceiling: Ceiling | None = None,
    audit: Audit | None = None,
    sinks: Sequence[Sink] = (),
    observers: Sequence[Observer] = (),
    undated: frozenset[str] = frozenset(),
    embedder: SameFace | None = None,
    gallery: OnePerson | None = None,
    dimension: int = DIMENSION,
    max_faces: int = 100,
    comparisons_hz: float | None = None,
    detect_hz: float | None = None,
    closer_hz: float = 0.0,
) -> Engine:
    anything = QualityGate(interocular_px=0)
    stages = Stages(
        batches=Batcher(list(sources), size=4, wait_ms=1, detect_hz=detect_hz, closer_hz=closer_hz),
        authority=authority or Rehearsal(),
        ceiling=ceiling or NoCeiling(),
        detector=detector or Crowd([[100, 80, 160, 150]] if boxes is None else boxes),
        tracker=FaceTracker(TrackRules(high_score=0.5, low_score=0.2)),
        selector=BestShotSelector(SelectionRules(comparisons_hz=comparisons_hz, gate=anything)),
        recogniser=FaceRecogniser(embedder or SameFace(), ProbePool(rows=2, dimension=dimension)),
        gallery=gallery or OnePerson(),
        policy=AlertPolicy(AlertRules(threshold=0.5)),
        audit=audit or RehearsalAudit(),
        sinks=sinks,
        observers=Observers(observers),
        undated=undated,
    )
    return Engine(
        stages,
        limits=EngineLimits(max_faces_a_frame=max_faces),
        detector_name="crowd",
        embedder_name="same",
        runtime_name="none",
    )


def leave(
    *,
    cameras: frozenset[str] = frozenset({"north"}),
    starts: timedelta = timedelta(0),
    lasts: timedelta = timedelta(hours=1),
) -> RecordingPermit:
    now = datetime.now(UTC)
    return RecordingPermit(
        purpose="p", place="p", cameras=cameras, starts_at=now + starts, ends_at=now + starts + lasts,
        authorising_officer="o", legal_basis="l",
    )  # fmt: skip


def run(engine: Engine) -> tuple[list[Alert], Summary]:
    alerts = [recorded.value for recorded in engine.run()]
    return alerts, engine.summary()


def test_one_face_gives_one_alert_and_a_whole_account() -> None:
    sink = Collect()
    alerts, summary = run(build([Street("north")], sinks=[sink]))
    assert [(alert.camera, alert.entry, alert.track_id) for alert in alerts] == [("north", "Ada", 1)]
    assert [recorded.value for recorded in sink.sent] == alerts
    assert sink.closed == 1
    assert (summary.frames, summary.detected_frames, summary.faces, summary.tracks) == (20, 20, 20, 1)
    assert (summary.alerts, summary.dropped, summary.errors) == (1, {}, ())
    assert summary.rehearsal
    assert summary.watchlist_revision == alerts[0].watchlist_revision == 5
    assert summary.dwell_ms.count == summary.recognised > 0
    assert summary.stopped_because == "every recording has ended"


def test_no_probe_template_outlives_its_batch() -> None:
    embedder = SameFace()

    class Looks(Observer):
        def faces_compared(self, comparison: Comparison) -> None:
            assert not any(vectors.any() for vectors in embedder.written)

    boxes = [[10.0, 10.0, 60.0, 70.0], [100.0, 80.0, 160.0, 150.0], [200.0, 80.0, 260.0, 150.0]]
    run(build([Street("north")], boxes=boxes, embedder=embedder, observers=(Looks(),)))
    assert len(embedder.written) > 1
    assert not any(vectors.any() for vectors in embedder.written)


def test_cameras_do_not_mix_and_a_failing_one_does_not_stop_the_others() -> None:
    broken = Street("south", frames=3, error=MediaError("the cable was cut"))
    alerts, summary = run(build([Street("north"), broken, Street("west")]))
    assert sorted(alert.camera for alert in alerts if alert.camera != "south") == ["north", "west"]
    assert summary.cameras["south"].frames == 3
    assert summary.cameras["north"].frames == 20
    assert summary.errors == ("camera south: the cable was cut",)


def test_live_cameras_are_refused_in_a_rehearsal_and_without_leave() -> None:
    with pytest.raises(AuthorisationError, match="recorded material"):
        run(build([Street("north", is_live=True)]))
    with pytest.raises(AuthorisationError, match="'north' is not authorised"):
        run(build([Street("north", is_live=True)], authority=leave(cameras=frozenset({"south"}))))
    with pytest.raises(AuthorisationError, match="starts at"):
        run(build([Street("north", is_live=True)], authority=leave(starts=timedelta(hours=1))))
    with pytest.raises(AuthorisationError, match="ended at"):
        run(build([Street("north", is_live=True)], authority=leave(starts=timedelta(hours=-2))))


def test_the_run_stops_at_a_frame_after_the_window() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    engine = build([Street("north", frames=1000, at=soon)], authority=leave(lasts=timedelta(seconds=30)))
    alerts, summary = run(engine)
    assert len(alerts) == 1
    assert "window ended" in summary.stopped_because
    assert summary.detected_frames <= 304
    assert not summary.rehearsal


def test_the_run_stops_when_the_window_ends_though_no_frame_comes() -> None:
    class Silent(Street):
        def frames(self) -> Iterator[Frame]:
            while not self._closed:
                time.sleep(0.01)
            yield from ()

    _, summary = run(build([Silent("north", is_live=True)], authority=leave(lasts=timedelta(seconds=3))))
    assert "window ended" in summary.stopped_because


def test_an_alert_that_cannot_be_recorded_is_never_sent() -> None:
    sink = Collect()
    engine = build([Street("north")], audit=FullDisk(), sinks=[sink])
    with pytest.raises(AuditError, match="no space left"):
        run(engine)
    assert sink.sent == []
    assert sink.closed == 1
    assert engine.summary().alerts == 0


def test_an_alert_that_one_sink_refuses_reaches_the_others_and_is_counted() -> None:
    good = Collect()
    alerts, summary = run(build([Street("north")], sinks=[Collect(refuses=True), good]))
    assert len(alerts) == len(good.sent) == 1
    assert summary.undelivered == 1
    assert "the line is down" in summary.errors[0]


def test_faces_over_the_cap_are_dropped_weakest_first_and_counted() -> None:
    boxes = [[20.0 + 60 * place, 80.0, 60.0 + 60 * place, 130.0] for place in range(4)]
    _, summary = run(build([Street("north", frames=5)], boxes=boxes, max_faces=3))
    assert summary.faces == 15
    assert summary.dropped == {"face_over_cap": 5}


@pytest.mark.parametrize("weak", [0.9, 0.1], ids=["over the limit", "too weak to be followed"])
def test_a_face_that_is_not_followed_is_filled_in_every_picture_of_an_alert(weak: float) -> None:
    shown, beside = [100.0, 80.0, 160.0, 150.0], [165.0, 85.0, 185.0, 110.0]

    class Beside(Crowd):
        def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
            faces = super().detect(images)
            return replace(faces, scores=np.where(faces.boxes[:, 0] == shown[0], 0.95, weak).astype(np.float32))

    [alert], summary = run(build([Street("north", frames=3)], detector=Beside([shown, beside]), max_faces=1))
    assert alert.box == tuple(shown)
    # The street is a flat 99; whatever is filled is a flat 96.
    assert set(np.unique(alert.crop)) == {96, 99}
    assert alert.scene is not None
    assert (alert.scene[85:110, 165:185] == 96).all()
    assert (alert.scene[80:150, 100:160] == 99).all()
    assert summary.faces == 3
    assert summary.dropped == ({"face_over_cap": 3} if weak > 0.5 else {})
    assert summary.near_detections == (0 if weak > 0.5 else 3)


def test_every_detected_face_is_compared_or_counted_by_cause() -> None:
    boxes = [[10.0 + 60 * place, 80.0, 50.0 + 60 * place, 130.0] for place in range(5)]
    engine = build([Street("north", frames=40)], boxes=boxes, comparisons_hz=5.0)
    _, summary = run(engine)
    assert summary.faces == 200
    assert summary.dropped.keys() == {"not_compared_budget"}
    assert summary.recognised + summary.dropped["not_compared_budget"] == 200
    # Ten to begin with, and five a second for four seconds.
    assert 25 <= summary.recognised <= 30


@pytest.mark.parametrize("comparisons_hz", [None, 5.0])
def test_a_hundred_faces_a_frame_stay_bounded_and_each_track_alerts_at_most_once(comparisons_hz: float | None) -> None:
    boxes = [[30.0 * (place % 10), 24.0 * (place // 10), 30.0 * (place % 10) + 20, 24.0 * (place // 10) + 20]
             for place in range(100)]  # fmt: skip
    alerts, summary = run(build([Street("north", frames=10)], boxes=boxes, comparisons_hz=comparisons_hz))
    assert summary.recognised + sum(summary.dropped.values()) == summary.faces == 1000
    # All are the wanted person, as in a hall of mirrors: one alert, and the cool-down has the others.
    assert len(alerts) == 1
    assert summary.suppressed == (99 if comparisons_hz is None else summary.suppressed)


class Cutting(Street):
    """A camera whose picture cuts to another scene every second."""

    def frames(self) -> Iterator[Frame]:
        draw = np.random.default_rng(0)
        for number, frame in enumerate(super().frames()):
            if number % 10 == 0:
                coarse = draw.integers(0, 255, (12, 16, 1), dtype=np.uint8)
                scene = np.kron(coarse, np.ones((20, 20, 3), np.uint8))
            yield replace(frame, planes=(scene,))


def test_a_picture_that_cuts_every_second_starts_a_track_each_time_and_forgets_the_last() -> None:
    engine = build([Cutting("north", frames=200)])
    alerts, summary = run(engine)
    assert (summary.tracks, len(alerts), summary.suppressed) == (20, 1, 19)
    assert summary.recognised == summary.faces == 200
    assert not engine._stages.selector._seen
    assert not engine._stages.policy._tracks


def test_stop_ends_the_run_with_its_account() -> None:
    engine = build([Street("north", frames=100_000)])
    for _ in engine.run():
        engine.stop("that is enough")
    summary = engine.summary()
    assert summary.stopped_because == "that is enough"
    assert 0 < summary.frames < 100_000


def test_a_run_that_does_too_much_harm_pauses_itself() -> None:
    class Brake:
        def require(self, faces_seen: int) -> None:
            if faces_seen:
                raise AuthorisationError(f"paused: too many false alerts in {faces_seen} faces")

    _, summary = run(build([Street("north", frames=1000)], ceiling=Brake()))
    assert summary.stopped_because == "paused: too many false alerts in 1 faces"
    assert summary.detected_frames < 1000


@pytest.mark.parametrize("verdict", ["different person", "same person"])
def test_what_people_say_while_it_runs_pauses_it_where_it_is_too_often_no(tmp_path: Path, verdict: Verdict) -> None:
    """The whole way: an alert is recorded and queued for people, who refute it or do not; the next batch asks."""
    records = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    audit = open_audit(tmp_path / "audit.log")
    terms = authorisation(people={}, profile="research")
    deploy(records, audit, terms)
    review = Review(records, open_audit(tmp_path / "audit.log"))

    class AnyTime(Rehearsal):
        @property
        def reference(self) -> str:
            return terms.reference

    since = datetime.now(UTC) - timedelta(seconds=1)

    class Deciding(Observer):
        def alert_recorded(self, recorded: Recorded[Alert]) -> None:
            enter(records, recorded, people=1)
            review.adjudicate(recorded.value.id, by="Ann", verdict=verdict)

    engine = build(
        [Street(name, frames=200) for name in ("north", "south", "west")],
        ceiling=FalseAlertCeiling(
            open_audit(tmp_path / "audit.log"),
            authorisation=terms.reference,
            words=words_of(terms),
            since=since,
            ceiling=0.001,
            every_s=0,
        ),
        authority=AnyTime(),
        audit=audit,
        observers=(Deciding(),),
    )
    run(engine)
    records.close()
    summary = engine.summary()
    if verdict == "same person":
        assert (summary.stopped_because, summary.frames) == ("every recording has ended", 600)
    else:
        assert re.match("paused: [123] false alerts in ", summary.stopped_because), "one batch may hold all three"
        assert summary.frames < 600


def test_the_threshold_may_be_raised_by_name_and_never_lowered() -> None:
    class Notes(RehearsalAudit):
        kinds: ClassVar[list[str]] = []

        def note(self, event: Event) -> None:
            self.kinds.append(event.kind)

    audit = Notes()
    engine = build([Street("north")], audit=audit)
    for threshold, by in ((0.49, "Ann"), (0.6, " "), (1.1, "Ann")):
        with pytest.raises(AuthorisationError, match="another authorisation"):
            engine.changes.raise_threshold(threshold, by=by)
    engine.changes.raise_threshold(1.0, by="Ann")
    with pytest.raises(AuthorisationError, match=r"may be raised from 1\.0"):
        engine.changes.raise_threshold(0.9, by="Ann")
    assert engine.summary().threshold == 1.0
    assert audit.kinds == ["threshold-raised"]


def test_frames_without_faces_give_an_account_and_no_alert() -> None:
    alerts, summary = run(build([Street("north", frames=0), Street("south", frames=2)], boxes=[]))
    assert alerts == []
    assert (summary.frames, summary.faces, summary.recognised) == (2, 0, 0)


def test_what_befalls_a_camera_stands_in_the_record_before_the_run_ends() -> None:
    class Notes(RehearsalAudit):
        def __init__(self) -> None:
            super().__init__()
            self.events: list[Event] = []

        def note(self, event: Event) -> None:
            self.events.append(event)

    class Broken(Street):
        def frames(self) -> Iterator[Frame]:
            yield from super().frames()
            raise MediaError("the lens fell off")

    audit = Notes()
    run(build([Broken("north", frames=2), Street("south", frames=2)], audit=audit))
    turns = {(event.kind, event.details.get("camera")) for event in audit.events}
    assert turns >= {("camera-failed", "north"), ("camera-ended", "south")}
    assert (
        next(event.details["detail"] for event in audit.events if event.kind == "camera-failed") == "the lens fell off"
    )
    assert (audit.events[0].kind, audit.events[-1].kind) == ("run-began", "run-ended")


class Diary(RehearsalAudit):
    """An audit that keeps what it is told, to be read by a test."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[Event] = []

    def note(self, event: Event) -> None:
        self.noted.append(event)


def test_a_camera_whose_picture_stands_still_is_noted_in_the_record_and_the_run_goes_on() -> None:
    diary = Diary()
    # No live one, of whose frames newer ones supersede some.
    street = Street("north", frames=30, at=datetime.now(UTC))
    still = ReplayCheckedSource(street, ReplayRules(unchanged_s=2))
    _, summary = run(build([still], authority=leave(starts=timedelta(minutes=-1)), audit=diary))
    [turn] = [event.details for event in diary.noted if event.kind == "camera-unchanged"]
    assert (turn["camera"], turn["detail"]) == ("north", "exactly the same picture for 2 s")
    assert summary.frames == 30
    assert not summary.errors


def test_a_detector_that_works_by_itself_has_the_next_batch_while_this_one_is_recognised() -> None:
    diary: list[str] = []
    detector = Ahead([[100, 80, 160, 150]], diary)
    engine = build([Street("north")], detector=detector)
    batches = engine._stages.batches

    def until_another_waits() -> None:
        with batches._lock:
            assert batches._backlog.changed.wait_for(
                lambda: batches._is_due() or batches._is_over(), timeout=PATIENCE_S
            )

    detector.before_begin = until_another_waits
    alerts, summary = run(engine)
    alone, account = run(build([Street("north")]))
    assert [(alert.entry, alert.track_id) for alert in alerts] == [(alert.entry, alert.track_id) for alert in alone]
    assert (summary.frames, summary.detected_frames, summary.faces) == (20, 20, 20)
    assert summary.dropped == account.dropped == {}
    begun = [line for line in diary if line.startswith("begun")]
    asked = [line for line in diary if line.startswith("asked")]
    assert [line.split()[1] for line in begun] == [line.split()[1] for line in asked], "each once, in order"
    under_way = [sum(1 if line.startswith("begun") else -1 for line in diary[: at + 1]) for at in range(len(diary))]
    assert max(under_way) == 2, "one is ahead where one waits, and never more"
    assert under_way[-1] == 0


def test_a_detector_of_the_host_has_the_next_batch_too_while_this_one_is_compared() -> None:
    second = threading.Event()

    class Counts(Crowd):
        batches = 0

        def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
            self.batches += 1
            if self.batches == 2:
                second.set()
            return super().detect(images)

    class Waits(SameFace):
        def embed(self, crops: Float32, out: Float32 | None = None) -> Templates:
            assert second.wait(PATIENCE_S), "the next batch waits until this one is compared"
            return super().embed(crops, out)

    detector = Counts([[100, 80, 160, 150]])
    alerts, summary = run(build([Street("north", frames=40)], detector=detector, embedder=Waits()))
    assert len(alerts) == 1
    assert (summary.detected_frames, summary.faces, summary.dropped) == (40, 40, {})


def test_a_lone_batch_is_not_held_back_for_another_to_come() -> None:
    """A live camera that shows one frame and then nothing: its faces are asked for at once."""
    diary: list[str] = []

    class OneFrame(Street):
        def frames(self) -> Iterator[Frame]:
            yield from super().frames()
            until = time.monotonic() + PATIENCE_S
            while "asked 0" not in diary and time.monotonic() < until:
                time.sleep(0.01)
            assert "asked 0" in diary, "the batch waits for another that never comes"

    camera = OneFrame("north", frames=1, is_live=True, at=datetime.now(UTC) + timedelta(seconds=1))
    _, summary = run(build([camera], detector=Ahead([[100, 80, 160, 150]], diary), authority=leave()))
    assert diary == ["begun 0", "asked 0"]
    assert (summary.faces, summary.errors) == (1, ())


def test_what_was_begun_with_leave_is_finished_and_what_is_refused_never_begins() -> None:
    diary: list[str] = []

    class Until(Rehearsal):
        def __init__(self) -> None:
            super().__init__()
            self.asked = 0

        def require(self, cameras: frozenset[str], captured_at: tuple[datetime, datetime]) -> None:
            self.asked += 1
            if self.asked > 3:  # the run itself, and two batches
                raise AuthorisationError("revoked")

    engine = build([Street("north", frames=1000)], detector=Ahead([[100, 80, 160, 150]], diary), authority=Until())
    _, summary = run(engine)
    assert summary.stopped_because == "revoked"
    assert sorted(diary) == ["asked 0", "asked 1", "begun 0", "begun 1"]
    assert summary.faces > 0


@pytest.mark.parametrize("is_ahead", [False, True])
def test_whoever_is_close_to_the_threshold_is_looked_at_in_more_frames(is_ahead: bool) -> None:
    box = [[100.0, 80, 160, 150]]
    detector = Ahead(box, []) if is_ahead else Crowd(box)
    streets = [Street("north", frames=40), Street("south", frames=40)]
    alerts, summary = run(build(streets, detector=detector, gallery=Lookalike(), detect_hz=2.5, closer_hz=10.0))
    assert alerts == []
    # All frames from a quarter of a second on, and the first one.
    assert {name: each.detected_frames for name, each in summary.cameras.items()} == {"north": 38, "south": 38}
    assert summary.closer_frames == 2 * (38 - 10)


def test_whoever_has_alerted_is_looked_at_as_often_as_everybody() -> None:
    alerts, summary = run(build([Street("north", frames=40)], detect_hz=2.5, closer_hz=10.0))
    assert len(alerts) == 1
    assert (summary.detected_frames, summary.closer_frames) == (10, 0)


def test_frames_outside_the_authorised_window_do_not_hold_a_recording_back() -> None:
    late = Street("north", frames=40, at=NOON)
    north = leave(starts=timedelta(0), cameras=frozenset({"north", "south"}))
    engine = build(
        [late, Street("south", frames=40, at=datetime.now(UTC))],
        authority=north,
        gallery=Lookalike(),
        detect_hz=2.5,
        closer_hz=10.0,
    )
    _, summary = run(engine)
    assert summary.cameras["north"].dropped["outside_window"] > 0
    assert summary.cameras["south"].closer_frames > 0
