"""How a node's engine is given cameras: what it says that it has, and what becomes of one that cannot be opened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from pylfr.cluster.engine_run import EngineRun
from pylfr.engine.engine import Engine
from pylfr.errors import AuthorisationError, MediaError
from pylfr.protocols import Source
from pylfr.types import Event
from tests.cluster.stage import wait_for


class Changes:
    """What ``RunChanges`` does, as slowly as the test wants."""

    def __init__(self, engine: Recorded) -> None:
        self._engine = engine
        self.in_hand = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.has: set[str] = set()

    def take_in(self, source: Source, *, by: str, because: str) -> None:
        if self._engine.state != "running":
            raise AuthorisationError("the run is over: it has ended")
        self.in_hand.set()
        self.may_go_on.wait(60)
        self.has.add(str(source))

    def take_out(self, camera: str, *, by: str, because: str) -> None:
        self.in_hand.set()
        self.may_go_on.wait(60)
        self.has.discard(camera)


class Recorded:
    """An ``Engine`` that analyses nothing; it runs once ``may_begin`` is set."""

    def __init__(self) -> None:
        self.may_begin = threading.Event()
        self.may_begin.set()
        self.state = "new"
        self.changes = Changes(self)
        self.noted: list[Event] = []
        self.because = ""
        self._over = threading.Event()

    def run(self) -> Iterator[object]:
        self.may_begin.wait(60)
        self.state = "running"
        self._over.wait(60)
        yield from ()

    def refresh(self) -> tuple[int, str]:
        return 1, ""

    def cameras(self) -> dict[str, object]:
        return {}

    def note(self, event: Event) -> None:
        self.noted.append(event)

    def stop(self, because: str) -> None:
        self.because = self.because or because
        self._over.set()

    def summary(self) -> Recorded:
        return self

    @property
    def stopped_because(self) -> str:
        return self.because

    def totals(self) -> None:
        """Nothing was counted."""


@pytest.fixture
def engine() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.stop("the test is over")
    made.changes.may_go_on.set()


def run_of(engine: Recorded, open_camera: Callable[[str], object] = lambda name: name) -> EngineRun:
    return EngineRun(lambda _observer: cast("Engine", engine), cast("Callable[[str], Source]", open_camera))


def test_a_camera_that_is_being_taken_in_is_said_to_be_here_although_it_is_wanted_no_more(engine: Recorded) -> None:
    run = run_of(engine)
    engine.changes.may_go_on.clear()
    run.assign(frozenset({"north"}))
    assert engine.changes.in_hand.wait(60)
    run.assign(frozenset())
    assert run.cameras == {"north"}
    engine.changes.may_go_on.set()
    wait_for(lambda: not run.cameras, "it is taken out again")
    assert not engine.changes.has


def test_a_camera_that_went_elsewhere_while_another_was_taken_out_is_not_taken_in(engine: Recorded) -> None:
    run = run_of(engine)
    run.assign(frozenset({"north"}))
    wait_for(lambda: engine.changes.has == {"north"}, "it is taken in")
    engine.changes.in_hand.clear()
    engine.changes.may_go_on.clear()
    run.assign(frozenset({"south"}))
    assert engine.changes.in_hand.wait(60)
    run.assign(frozenset())
    assert run.cameras == {"north"}
    engine.changes.may_go_on.set()
    wait_for(lambda: not run.cameras, "north is taken out")
    assert not engine.changes.has


def test_a_camera_that_cannot_be_opened_is_tried_again_and_holds_up_no_other(
    engine: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylfr.cluster.engine_run._REOPEN_S", 0.2)
    tries: list[str] = []

    def open_camera(name: str) -> str:
        if name == "north":
            tries.append(name)
            if len(tries) < 3:
                raise MediaError("north.mp4 is missing")
        return name

    run = run_of(engine, open_camera)
    run.assign(frozenset({"north", "south"}))
    wait_for(lambda: engine.changes.has == {"south"}, "the other one is taken in")
    assert run.failed == {"north": "north.mp4 is missing"}
    assert run.cameras == {"north", "south"}
    wait_for(lambda: engine.changes.has == {"north", "south"}, "it is there at last")
    assert run.failed == {}
    assert run.trouble == ""
    (noted,) = engine.noted
    assert (noted.kind, noted.details["camera"], noted.details["detail"]) == (
        "camera-failed", "north", "north.mp4 is missing",
    )  # fmt: skip


def test_an_engine_whose_cameras_cannot_be_turned_over_any_more_says_so_and_ends(engine: Recorded) -> None:
    def open_camera(name: str) -> str:
        raise KeyError(name)

    run = run_of(engine, open_camera)
    run.assign(frozenset({"north"}))
    wait_for(lambda: "could not be turned over: 'north'" in run.trouble, "it says so")
    assert run.cameras == frozenset()


def test_no_camera_is_taken_in_before_the_engine_has_written_down_that_it_begins(engine: Recorded) -> None:
    engine.may_begin.clear()
    run = run_of(engine)
    run.assign(frozenset({"north"}))
    assert not engine.changes.in_hand.wait(0.5)
    assert run.trouble == ""
    engine.may_begin.set()
    wait_for(lambda: engine.changes.has == {"north"}, "it is taken in")
