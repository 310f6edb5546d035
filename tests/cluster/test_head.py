"""A head and its nodes in one process, with engines that sleep: leases, drains, watchlists, restarts, repeats."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pylfr.cluster.head import ClusterHead
from pylfr.cluster.metrics import ClusterCollector
from pylfr.cluster.node import ClusterNode, HeadAwayError
from pylfr.cluster.open import open_head
from pylfr.cluster.outbox import Outbox
from pylfr.cluster.session import Hello, Welcome
from pylfr.deployment.resources import Resources, open_resources
from pylfr.errors import WatchlistError
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.sealed import seal_watchlist
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.governance.audit.audit import RehearsalAudit, read_audit
from pylfr.governance.keys.keys import make_key
from pylfr.governance.keys.vault import make_vault_key, read_vault_key
from pylfr.types import Alert
from tests.cluster.stage import wait_for
from tests.deployment_text import RECORDS, SHIPPED, SIGNED_LOG, deployment_text, permit_text
from tests.samples import sample_alert

CAMERAS = tuple(f"camera {number}" for number in range(6))


class SleepingEngine:
    """A ``CameraEngine`` that has its cameras at once and analyses nothing."""

    def __init__(self, *, outbox: Outbox, reads_watchlists: bool = True) -> None:
        self.outbox = outbox
        self.reads_watchlists = reads_watchlists
        self.cameras: frozenset[str] = frozenset()
        self.ended: frozenset[str] = frozenset()
        self.failed: dict[str, str] = {}
        self.faces_seen = 0
        self.trouble = ""
        self.stopped_because = ""

    def assign(self, cameras: frozenset[str]) -> None:
        self.cameras = cameras

    def follow_watchlist(self) -> None:
        if not self.reads_watchlists:
            raise WatchlistError("it is damaged")

    def stop(self, because: str) -> None:
        self.cameras, self.stopped_because = frozenset(), because


class Link:
    """Straight into the head, or into nothing."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.is_cut = False

    def _head(self) -> ClusterHead:
        if self.is_cut or self._table.head is None:
            raise HeadAwayError("the cable is out")
        return self._table.head

    def challenge(self) -> str:
        return self._head().challenge()

    def greet(self, hello: Hello) -> Welcome:
        return self._head().greet(hello)

    def join(self, node: str, joining: bytes) -> tuple[bytes, bytes, int]:
        return self._head().join(node, joining)

    def beat(self, node: str, number: int, beat: bytes) -> bytes:
        return self._head().beat(node, number, beat)


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
        self.head = None
        if self._resources is not None:
            self._resources.close()

    def add(self, name: str, *, capacity: int, reads_watchlists: bool = True) -> None:
        link = self.links[name] = Link(self)
        made = self.engines[name] = []

        def open_engine(*_: object, outbox: Outbox, **__: object) -> SleepingEngine:
            made.append(SleepingEngine(outbox=outbox, reads_watchlists=reads_watchlists))
            return made[-1]

        node = ClusterNode(self.folder / name, link, capacity=capacity, open_engine=open_engine)
        thread = threading.Thread(target=node.run, daemon=True)
        thread.start()
        self._nodes.append((node, thread))

    def held(self, name: str) -> int:
        return sum(len(each.cameras) for each in (self.head.status().nodes if self.head else ()) if each.name == name)

    def raise_alert(self, name: str, alert: Alert) -> None:
        self.engines[name][-1].outbox.send(RehearsalAudit().record(alert))

    def kinds(self) -> list[str]:
        return [entry.kind for entry in read_audit(self.folder / "audit.log").entries]

    def _tick(self) -> None:
        while not self._over.wait(0.1):
            head = self.head
            if head is not None:
                head.tick()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record = make_key(tmp_path / "record.key")
    for name in ("a", "b", "stranger"):
        (tmp_path / name).mkdir()
        make_key(tmp_path / name / "node.key")
        (tmp_path / name / "head.pub").write_text(record.text)
    with create_watchlist(tmp_path / "plain", open_embedder(SHIPPED[1])):
        pass
    key = make_vault_key(tmp_path / "watchlist.key", expires_at=datetime.now(UTC) + timedelta(hours=1))
    seal_watchlist(tmp_path / "plain", tmp_path / "sealed", key)
    text = deployment_text(
        permit_text(cameras=CAMERAS, begin=datetime.now(UTC) - timedelta(hours=1), lasts=timedelta(hours=2)),
        SIGNED_LOG,
        RECORDS,
        '[cluster]\nlease_s = 1.5\n[cluster.nodes]\na = "a/node.pub"\nb = "b/node.pub"\n',
        cameras=dict.fromkeys(CAMERAS, tmp_path / "none.mp4"),
        networks=SHIPPED,
        watchlist='file = "sealed"\nkey = "watchlist.key"',
    )
    (tmp_path / "deployment.toml").write_text(text)
    return tmp_path


@pytest.fixture
def table(folder: Path) -> Iterator[Table]:
    with ExitStack() as stack:
        yield stack.enter_context(Table(folder))


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


def test_a_drained_node_gives_its_cameras_to_the_others(table: Table) -> None:
    table.add("a", capacity=6)
    table.add("b", capacity=6)
    wait_for(lambda: table.held("a") == 3 and table.held("b") == 3, "cameras are spread")
    assert table.head is not None
    table.head.drain("a")
    wait_for(lambda: table.held("a") == 0 and table.held("b") == 6, "b has all")
    table.head.undrain("a")
    wait_for(lambda: table.held("a") >= 2, "a has its share again")


def test_a_node_that_is_cut_off_stops_by_itself_and_what_has_no_room_is_said(table: Table) -> None:
    table.add("a", capacity=6)
    table.add("b", capacity=4)
    wait_for(lambda: table.held("a") + table.held("b") == 6, "all are placed")
    table.links["a"].is_cut = True
    wait_for(lambda: "lease has ended" in table.engines["a"][-1].stopped_because, "a stops")
    wait_for(lambda: table.held("b") == 4, "b has as many as it can hold")
    assert table.head is not None
    wait_for(lambda: table.head is not None and len(table.head.status().unplaced) == 2, "two have no room")
    registry = CollectorRegistry()
    registry.register(ClusterCollector(table.head))
    assert registry.get_sample_value("pylfr_cluster_cameras_unplaced") == 2
    assert registry.get_sample_value("pylfr_cluster_node_cameras", {"node": "b"}) == 4
    table.links["a"].is_cut = False
    wait_for(lambda: table.held("a") + table.held("b") == 6, "all are placed again")
    assert "engine-lost" in table.kinds()


def test_a_node_whose_key_is_not_named_is_given_nothing(table: Table) -> None:
    table.add("stranger", capacity=6)
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    assert table.engines["stranger"] == []
    assert not (table.folder / "stranger" / "watchlist.sealed").exists()


def test_a_new_list_is_confirmed_and_a_node_that_cannot_read_it_loses_its_cameras(table: Table) -> None:
    table.add("a", capacity=6)
    table.add("b", capacity=6, reads_watchlists=False)
    wait_for(lambda: table.held("a") == 3 and table.held("b") == 3, "cameras are spread")
    seal_again(table.folder, step=1)
    took = wait_for(lambda: _confirmed(table, "a"), "a confirms the new list")
    print(f"confirmed after {took:.1f} s")
    wait_for(lambda: "lease has ended" in table.engines["b"][0].stopped_because, "b stops")


def test_a_list_that_is_older_than_before_stops_every_engine(table: Table) -> None:
    seal_again(table.folder, step=5)
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    seal_again(table.folder, step=-3)
    wait_for(lambda: "is an older one" in table.engines["a"][-1].stopped_because, "a stops")


def test_engines_outlive_their_head_and_nothing_is_recorded_twice(table: Table) -> None:
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    at = datetime.now(UTC)
    table.raise_alert("a", alert_of("one", at=at))
    wait_for(lambda: table.kinds().count("alert") == 1, "it is recorded")
    table.stop_head()
    table.start_head()
    # As an engine that was not told that its alert had been taken, and one that the camera moved to.
    table.raise_alert("a", alert_of("one", at=at))
    table.raise_alert("a", alert_of("two", at=at + timedelta(seconds=5)))
    table.raise_alert("a", alert_of("three", at=at + timedelta(seconds=5), entry="Grace"))
    wait_for(lambda: table.kinds().count("alert") == 2, "the other person is recorded")
    wait_for(lambda: not list((table.folder / "a" / "outbox").glob("*.alert")), "nothing waits")
    assert (table.kinds().count("alert"), table.kinds().count("alert-repeated")) == (2, 1)
    wait_for(lambda: table.held("a") == 6, "a has all")
    assert len(table.engines["a"]) == 1, "the engine went on"


def _confirmed(table: Table, name: str) -> bool:
    return table.head is not None and any(
        each.name == name and each.has_newest_watchlist for each in table.head.status().nodes
    )
