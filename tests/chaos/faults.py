"""What can happen to a deployment: each fault begins, lasts a while, and ends."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import psycopg

from tests.chaos.stand import Stand

Fault = Callable[[Stand], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A fault of some ``parts``. ``touches_all`` is whether a camera that nobody hurts may notice it."""

    name: str
    parts: frozenset[str]
    begin: Fault
    touches_all: bool = False


@contextmanager
def _killed(stand: Stand) -> Iterator[None]:
    stand.run.kill()
    stand.run.start()
    yield


@contextmanager
def _killed_and_away(stand: Stand) -> Iterator[None]:
    stand.run.kill()
    yield
    stand.run.start()


@contextmanager
def _frozen(stand: Stand) -> Iterator[None]:
    stand.run.send(signal.SIGSTOP)
    try:
        yield
    finally:
        stand.run.send(signal.SIGCONT)


@contextmanager
def _database_away(stand: Stand) -> Iterator[None]:
    stand.postgres.stop()
    try:
        yield
    finally:
        stand.postgres.start()


@contextmanager
def _database_frozen(stand: Stand) -> Iterator[None]:
    stand.postgres.freeze()
    try:
        yield
    finally:
        stand.postgres.thaw()


@contextmanager
def _database_locked(stand: Stand) -> Iterator[None]:
    address = f"host={stand.postgres.folder} user=pylfr dbname={stand.url.split('/')[3].split('?')[0]}"
    with psycopg.connect(address, connect_timeout=5) as connection:
        # It may be held by whoever starts just now.
        connection.execute("SET lock_timeout = '5s'")
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            connection.execute("LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


@contextmanager
def _broker_away(stand: Stand) -> Iterator[None]:
    stand.broker.stop()
    try:
        yield
    finally:
        stand.broker.start()


@contextmanager
def _broker_frozen(stand: Stand) -> Iterator[None]:
    stand.broker.send(signal.SIGSTOP)
    try:
        yield
    finally:
        stand.broker.send(signal.SIGCONT)


def _hook(mood: str | int) -> Fault:
    @contextmanager
    def begin(stand: Stand) -> Iterator[None]:
        stand.hook.mood = mood
        try:
            yield
        finally:
            stand.hook.mood = 204

    return begin


@contextmanager
def _camera_away(stand: Stand) -> Iterator[None]:
    stand.north.kill()
    try:
        yield
    finally:
        stand.north.start()


@contextmanager
def _camera_frozen(stand: Stand) -> Iterator[None]:
    stand.north.send(signal.SIGSTOP)
    try:
        yield
    finally:
        stand.north.send(signal.SIGCONT)


@contextmanager
def _disk_full(stand: Stand) -> Iterator[None]:
    ballast = stand.folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        os.fchmod(file.fileno(), 0o600)
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


@contextmanager
def _clock_ahead(stand: Stand) -> Iterator[None]:
    stand.run.set_clock(ahead_s=7200)
    try:
        yield
    finally:
        stand.run.set_clock(ahead_s=0)


@contextmanager
def _killed_at_an_alert(stand: Stand) -> Iterator[None]:
    """Between the log and whoever gets the alert after it."""
    _wait_for_alert(stand, every_s=0.002)
    stand.run.kill()
    yield
    stand.run.start()


def _killed_during(outage: Fault) -> Fault:
    """With an alert on its way, which the next start has to carry on."""

    @contextmanager
    def begin(stand: Stand) -> Iterator[None]:
        with outage(stand):
            _wait_for_alert(stand, every_s=0.1)
            stand.run.kill()
            yield
        stand.run.start()

    return begin


def _wait_for_alert(stand: Stand, *, every_s: float) -> None:
    """Wait until one more alert is in the log, or for so long as two take."""
    before, until = stand.alerts_in_the_log(), time.monotonic() + 15.0
    while stand.alerts_in_the_log() == before and time.monotonic() < until:
        time.sleep(every_s)


def some(stand: Stand, chance: random.Random) -> list[Kind]:
    """One fault, or two of different parts."""
    possible = kinds(stand)
    chosen = [chance.choice(possible)]
    if chance.random() < 0.4:
        chosen.append(chance.choice([each for each in possible if not each.parts & chosen[0].parts]))
    return chosen


def kinds(stand: Stand) -> list[Kind]:
    """The faults that this machine allows."""
    found = [
        Kind(name="run killed", parts=frozenset({"run"}), begin=_killed, touches_all=True),
        Kind(name="run killed and away", parts=frozenset({"run"}), begin=_killed_and_away, touches_all=True),
        Kind(name="run killed at an alert", parts=frozenset({"run"}), begin=_killed_at_an_alert, touches_all=True),
        Kind(
            name="run killed, database away",
            parts=frozenset({"run", "database"}),
            begin=_killed_during(_database_away),
            touches_all=True,
        ),
        Kind(
            name="run killed, broker away",
            parts=frozenset({"run", "broker"}),
            begin=_killed_during(_broker_away),
            touches_all=True,
        ),
        Kind(
            name="run killed, webhook 503",
            parts=frozenset({"run", "webhook"}),
            begin=_killed_during(_hook(503)),
            touches_all=True,
        ),
        Kind(name="run frozen", parts=frozenset({"run"}), begin=_frozen, touches_all=True),
        Kind(name="database away", parts=frozenset({"database"}), begin=_database_away),
        Kind(name="database frozen", parts=frozenset({"database"}), begin=_database_frozen),
        Kind(name="alerts locked", parts=frozenset({"database"}), begin=_database_locked),
        Kind(name="broker away", parts=frozenset({"broker"}), begin=_broker_away),
        Kind(name="broker frozen", parts=frozenset({"broker"}), begin=_broker_frozen),
        *(
            Kind(name=f"webhook {mood}", parts=frozenset({"webhook"}), begin=_hook(mood))
            for mood in (401, 503, "endless", "nonsense", "silent")
        ),
        Kind(name="camera away", parts=frozenset({"camera"}), begin=_camera_away),
        Kind(name="camera frozen", parts=frozenset({"camera"}), begin=_camera_frozen),
    ]
    if stand.disk_is_small:
        found.append(Kind(name="disk full", parts=frozenset({"disk"}), begin=_disk_full, touches_all=True))
    if stand.run.has_skewed_clock:
        found.append(
            Kind(name="clock two hours ahead", parts=frozenset({"clock"}), begin=_clock_ahead, touches_all=True)
        )
    return found
