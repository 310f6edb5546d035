"""A head and its nodes in one process, with engines that sleep: no network is run, everything else is real."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pylfr.cluster.head import ClusterHead
from pylfr.cluster.node import ClusterNode, HeadAwayError
from pylfr.cluster.open import open_head
from pylfr.cluster.outbox import Outbox
from pylfr.cluster.session import Hello, Welcome
from pylfr.deployment.resources import Resources, open_resources
from pylfr.engine.summary import RunTotals
from pylfr.errors import WatchlistError
from pylfr.gallery.watchlist.sealed import seal_watchlist
from pylfr.governance.audit.audit import RehearsalAudit, read_audit
from pylfr.governance.keys.vault import read_vault_key
from pylfr.types import Alert
from tests.samples import sample_alert

CAMERAS = tuple(f"camera {number}" for number in range(6))


def counted(tracks: int, *, dwell_ms: float = 0.0) -> RunTotals:
    """What an engine has counted that saw so many people, each in ten frames."""
    return RunTotals(
        authorisation="sleeping", runtime="none", frames=10 * tracks, detected_frames=10 * tracks, faces=10 * tracks,
        tracks=tracks, recognised=tracks, near_detections=0, alerts=0, suppressed=0, undelivered=0, unread=0, dropped=0,
        dwell_p50_ms=dwell_ms, dwell_p99_ms=dwell_ms, dwell_max_ms=dwell_ms, seconds=1.0, watchlist_size=0, because="",
    )  # fmt: skip


class SleepingEngine:
    """A ``CameraEngine`` that has its cameras at once and analyses nothing."""

    def __init__(self, *, outbox: Outbox, reads_watchlists: bool = True) -> None:
        self.outbox = outbox
        self.reads_watchlists = reads_watchlists
        self.cameras: frozenset[str] = frozenset()
        self.ended: frozenset[str] = frozenset()
        self.failed: dict[str, str] = {}
        self.totals: RunTotals | None = counted(0)
        self.trouble = ""
        self.stopped_because = ""

    def assign(self, cameras: frozenset[str]) -> None:
        self.cameras = cameras

    def follow_watchlist(self) -> int | None:
        if not self.reads_watchlists:
            raise WatchlistError("it is damaged")
        return None

    def stop(self, because: str) -> None:
        self.cameras, self.stopped_because = frozenset(), because


class Link:
    """Straight into the head, or into nothing."""

    def __init__(self, table: Table, name: str, meanwhile: Callable[[ClusterHead], None]) -> None:
        self._table = table
        self._meanwhile = meanwhile
        self.name = name
        self.is_cut = False
        # So long the answer to the next beat is on its way.
        self.delay_s = 0.0
        # The revision that the node had confirmed with each of its beats, as the head saw it.
        self.revisions: list[int] = []

    @contextmanager
    def _head(self) -> Iterator[ClusterHead]:
        with self._table.in_hand() as head:
            if self.is_cut or head is None:
                raise HeadAwayError("the cable is out")
            yield head

    def challenge(self) -> str:
        with self._head() as head:
            return head.challenge()

    def greet(self, hello: Hello) -> Welcome:
        with self._head() as head:
            welcome = head.greet(hello)
            self._meanwhile(head)
            return welcome

    def join(self, node: str, joining: bytes) -> tuple[bytes, bytes, int]:
        with self._head() as head:
            return head.join(node, joining)

    def beat(self, node: str, number: int, beat: bytes) -> bytes:
        with self._head() as head:
            orders = head.beat(node, number, beat)
            self.revisions += [each.watchlist_revision for each in head.status().nodes if each.name == self.name]
        delay_s, self.delay_s = self.delay_s, 0.0
        if delay_s:
            time.sleep(delay_s)
        return orders


class Table:
    """The head and the nodes of one deployment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.head: ClusterHead | None = None
        self.links: dict[str, Link] = {}
        self.engines: dict[str, list[SleepingEngine]] = {}
        self._resources: Resources | None = None
        self._nodes: list[tuple[ClusterNode, threading.Thread]] = []
        self._over = threading.Event()
        self._calls, self._changed = 0, threading.Condition()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Table:
        self.start_head()
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        for node, _thread in self._nodes:
            node.stop()
        for _node, thread in self._nodes:
            thread.join(20)
        self._over.set()
        self._ticker.join()
        self.stop_head()

    def start_head(self) -> None:
        self._resources = open_resources(self.folder / "deployment.toml")
        self.head = open_head(self._resources)

    def stop_head(self) -> None:
        """As a crash: nothing is said to the nodes."""
        with self._changed:
            self.head = None
            self._changed.wait_for(lambda: not self._calls)
        if self._resources is not None:
            self._resources.close()

    @contextmanager
    def in_hand(self) -> Iterator[ClusterHead | None]:
        """The head, which does not stop while it does something."""
        with self._changed:
            head = self.head
            self._calls += 1
        try:
            yield head
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def add(
        self,
        name: str,
        *,
        capacity: int,
        reads_watchlists: bool = True,
        meanwhile: Callable[[ClusterHead], None] = lambda _head: None,
    ) -> None:
        """``meanwhile`` is done to the head between the node's greeting and its joining."""
        link = self.links[name] = Link(self, name, meanwhile)
        made = self.engines[name] = []

        def open_engine(*_: object, outbox: Outbox, **__: object) -> SleepingEngine:
            self.opened()
            made.append(SleepingEngine(outbox=outbox, reads_watchlists=reads_watchlists))
            return made[-1]

        node = ClusterNode(self.folder / name, link, capacity=capacity, open_engine=open_engine)
        thread = threading.Thread(target=node.run, daemon=True)
        thread.start()
        self._nodes.append((node, thread))

    def opened(self) -> None:
        """A node opens an engine."""

    def held(self, name: str) -> int:
        """How many cameras the node may hold by the head, and has."""
        nodes = self.head.status().nodes if self.head else ()
        may_hold = sum(len(each.cameras) for each in nodes if each.name == name)
        return min(may_hold, sum(len(each.cameras) for each in self.engines[name]))

    def shared(self, *names: str) -> bool:
        """Whether all cameras are held by these nodes, and each has some."""
        held = [self.held(name) for name in names]
        return sum(held) == len(CAMERAS) and min(held) >= 2

    def raise_alert(self, name: str, alert: Alert) -> None:
        outbox = self.engines[name][-1].outbox
        outbox.draft(alert)
        outbox.send(RehearsalAudit().record(alert))

    def kinds(self) -> list[str]:
        return [entry.kind for entry in read_audit(self.folder / "audit.log").entries]

    def _tick(self) -> None:
        while not self._over.wait(0.1):
            with self.in_hand() as head:
                if head is not None:
                    head.tick()


def seal_again(folder: Path, *, step: int) -> None:
    """Another revision of the list, in place of the one that is there."""
    with closing(sqlite3.connect(folder / "plain")) as connection:
        connection.execute("UPDATE watchlist SET revision = revision + ?", (step,))
        connection.commit()
    key = read_vault_key(folder / "watchlist.key", now=datetime.now(UTC))
    seal_watchlist(folder / "plain", folder / "fresh", key)
    (folder / "fresh").replace(folder / "sealed")


def alert_of(id_: str, *, at: datetime, entry: str = "Ada") -> Alert:
    return replace(sample_alert(entry=entry), id=id_, camera="camera 0", captured_at=at)


def ended(folder: Path) -> dict[str, object]:
    """The only entry that says that the run has ended."""
    (entry,) = [each for each in read_audit(folder / "audit.log").entries if each.kind == "run-ended"]
    return dict(entry.details)


def has_newest(table: Table, name: str) -> bool:
    return table.head is not None and any(
        each.name == name and each.has_newest_watchlist for each in table.head.status().nodes
    )
