"""The head of a cluster: it admits nodes, places cameras, grants leases, and keeps the one record of the deployment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pylfr.cluster.camera_places import CameraPlaces
from pylfr.cluster.log_binding import LogBinding
from pylfr.cluster.members import Member, Members
from pylfr.cluster.messages import Beat, Brief, Orders
from pylfr.cluster.node import MOST_ALERTS
from pylfr.cluster.record import ClusterRecord
from pylfr.cluster.session import Hello, Welcome
from pylfr.cluster.shared_watchlist import SharedWatchlist
from pylfr.cluster.status import ClusterStatus, NodeStatus
from pylfr.errors import PylfrError, WatchlistError
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.receiver import ConflictError
from pylfr.governance.keys.keys import PublicKey, SigningKey
from pylfr.protocols import Ceiling
from pylfr.types import Event

log = logging.getLogger(__name__)

# After a lease has ended on the node's clock: what the two clocks may differ by over a few seconds, many times over.
_MARGIN_S = 0.5


class ClusterHead:
    """Safe for use by many threads. Made by ``open_head``; call ``tick`` about once a second."""

    def __init__(
        self,
        *,
        brief: Brief,
        key: SigningKey,
        nodes: Mapping[str, PublicKey],
        folder: Path,
        lease_s: float,
        ceiling: Ceiling,
        watchlist: SharedWatchlist,
        audit: AuditLog,
        record: ClusterRecord,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``nodes`` are the public keys of those who may join, by name."""
        self._brief = brief
        self._lease_s = lease_s
        self._ceiling = ceiling
        self._watchlist = watchlist
        self._audit = audit
        self._record = record
        self._clock_s = clock_s
        self._lock = threading.RLock()
        self._members = Members(nodes, key=key, clock_s=clock_s)
        self._places = CameraPlaces([each.name for each in brief.cameras], self._members, audit, clock_s=clock_s)
        self._logs = LogBinding(audit, folder, clock_s=clock_s)
        self._stopped_because = ""
        # Engines of a head that died may go on until their leases end: they are waited for before anything is placed.
        self._places_from_s = clock_s() + lease_s + _MARGIN_S

    # What nodes ask.

    def challenge(self) -> str:
        """Something new for a node to sign."""
        with self._lock:
            return self._members.challenge()

    def greet(self, hello: Hello) -> Welcome:
        """Admit a node that holds its key. Raises ``AuthorisationError`` for any other."""
        with self._lock:
            return self._members.greet(hello)

    def join(self, node: str, joining: bytes) -> tuple[bytes, bytes, int]:
        """As ``HeadLink.join``."""
        with self._lock:
            member, said = self._members.join(node, joining)
            self._places.keep(node, said.holding)
            self._logs.joined(member)
            key = self._watchlist.key
            return (
                member.session.seal(self._brief.model_dump_json().encode(), "brief", 0),
                member.session.seal(bytes(key.secret.view), "key", 0),
                self._logs.checkpoints(member),
            )

    def beat(self, node: str, number: int, beat: bytes) -> bytes:
        """As ``HeadLink.beat``. A beat that comes twice, or late, changes nothing."""
        with self._lock:
            member, said = self._members.beat(node, number, beat)
            orders = self._orders(node, member, said)
            return member.session.seal(orders.model_dump_json().encode(), "orders", number)

    # What happens by itself.

    def tick(self) -> None:
        """Give up nodes whose lease has ended, place cameras, and bind the engines' logs."""
        with self._lock:
            for member in self._members.give_up(silent_s=self._lease_s + _MARGIN_S):
                self._logs.lost(member)
            for member in self._members.joined().values():
                self._logs.grown(member)
            self._stop_at_ceiling()
            if self._clock_s() >= self._places_from_s and not self._stopped_because:
                self._places.place()

    # What people ask.

    def drain(self, name: str) -> None:
        """Give a node no cameras any more. Raises ``ConfigError`` where no node has that name."""
        with self._lock:
            self._members.require_name(name)
            self._places.drain(name)
            self.tick()

    def undrain(self, name: str) -> None:
        """Give a node cameras again. Raises ``ConfigError`` where no node has that name."""
        with self._lock:
            self._members.require_name(name)
            self._places.undrain(name)
            self.tick()

    def status(self) -> ClusterStatus:
        """The whole, now."""
        with self._lock:
            now_s = self._clock_s()
            joined = sorted(self._members.joined().values(), key=lambda each: each.name)
            newest = self._newest_watchlist()
            return ClusterStatus(
                nodes=tuple(
                    NodeStatus(
                        name=each.name,
                        cameras=tuple(sorted(each.cameras)),
                        capacity=each.capacity,
                        beat_s_ago=round(now_s - each.last_s, 2),
                        is_drained=self._places.is_drained(each.name),
                        has_newest_watchlist=each.watchlist == newest,
                        why=each.trouble,
                    )
                    for each in joined
                ),
                unplaced=self._places.unplaced,
                ended=self._places.finished,
                cameras=len(self._brief.cameras),
                failed={camera: why for each in joined for camera, why in each.failed.items()},
                alerts=self._record.alerts,
                repeats=self._record.repeats,
                undelivered=self._record.undelivered,
                stopped_because=self._stopped_because,
            )

    def stop(self, because: str) -> None:
        """End every engine's lease: each stops with its next beat."""
        with self._lock:
            if not self._stopped_because:
                self._stopped_because = because
                self._audit.note(Event(kind="cluster-stopped", details={"because": because}))

    def close(self) -> None:
        """Bind every engine's log a last time."""
        with self._lock:
            for member in self._members.joined().values():
                self._logs.left(member)
            self._members.clear()

    def _orders(self, node: str, member: Member, said: Beat) -> Orders:
        try:
            received = self._logs.add(member, said.checkpoints)
        except (ConflictError, ValueError, OSError) as error:
            # A node whose log contradicts itself may not go on.
            log.error("checkpoints of node %s: %s", member.name, error)
            return Orders(lease_s=0, stop=f"the engine's log is not what it was: {error}")
        taken = tuple(self._record.take(packed, node=member.name) for packed in said.alerts)
        if self._stopped_because:
            return Orders(lease_s=0, stop=self._stopped_because, taken=taken, received=received)
        content = None
        try:
            newest = self._watchlist.now()
        except WatchlistError as error:
            self.stop(str(error))
            return Orders(lease_s=0, stop=str(error), taken=taken, received=received)
        now_s = self._clock_s()
        if said.watchlist == newest.sha256:
            member.told_s = None
        else:
            content = newest.content
            member.told_s = now_s if member.told_s is None else member.told_s
        # A node that cannot confirm the newest list has no lease any more: somebody may have been taken off it.
        lease_s = 0.0 if member.told_s is not None and now_s - member.told_s > self._lease_s else self._lease_s
        if len(said.alerts) < MOST_ALERTS:
            # Every alert of theirs has come with this beat.
            self._places.finish(member.ended)
        cameras = self._places.free_for(node)
        member.cameras |= cameras
        return Orders(
            lease_s=lease_s, cameras=tuple(sorted(cameras)), watchlist=content, received=received, taken=taken
        )

    def _stop_at_ceiling(self) -> None:
        """End everything where too many alerts were false. That the window is over each engine finds by itself."""
        try:
            self._ceiling.require(sum(each.faces_seen for _, each in self._members.all()))
        except PylfrError as error:
            self.stop(str(error))

    def _newest_watchlist(self) -> str:
        try:
            return self._watchlist.now().sha256
        except WatchlistError:
            return ""
