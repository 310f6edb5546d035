"""The head of a cluster: it admits nodes, places cameras, grants leases, and keeps the one record of the deployment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pylfr._internal.steady_clock import steady_now
from pylfr.cluster.accounts import RunAccounts
from pylfr.cluster.camera_places import CameraPlaces
from pylfr.cluster.decided import NOTHING_DECIDED, Decided
from pylfr.cluster.envelope import put_in
from pylfr.cluster.incoming_list import part_after
from pylfr.cluster.log_binding import LogBinding
from pylfr.cluster.members import Member, Members
from pylfr.cluster.messages import Beat, Brief, ListPlace, Orders
from pylfr.cluster.node import MOST_ALERTS, UnknownNodeError
from pylfr.cluster.record import ClusterRecord
from pylfr.cluster.session import Hello, Welcome
from pylfr.cluster.shared_watchlist import SharedWatchlist
from pylfr.cluster.status import ClusterStatus, NodeStatus
from pylfr.engine.summary import STOPPED_BY_OPERATOR, run_ended
from pylfr.engine.window import window_over
from pylfr.errors import AuditError, PylfrError, WatchlistError
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.receiver import ConflictError
from pylfr.governance.keys.keys import PublicKey, SigningKey
from pylfr.protocols import Ceiling
from pylfr.types import Event

log = logging.getLogger(__name__)

# After a lease has ended on the node's clock: what the two clocks may differ by over a few seconds, many times over.
_MARGIN_S = 0.5
_BETWEEN_MOVES_S = 0.02
# So long a head that was stopped waits for what the nodes have left; those that are silent it gives up before.
_SETTLE_S = 30.0
# Why a run ends whose recordings have all come to their end.
_ALL_ENDED = "every recording has ended"


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
        ends_at: datetime | None,
        ceiling: Ceiling,
        watchlist: SharedWatchlist,
        audit: AuditLog,
        record: ClusterRecord,
        accounts: RunAccounts,
        decided: Decided = NOTHING_DECIDED,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``nodes`` are the public keys of those who may join, by name; ``ends_at`` is when the window does.

        ``decided`` is what a head that died in this run had decided.
        """
        self._brief = brief
        self._lease_s = lease_s
        self._ends_at = ends_at
        self._ceiling = ceiling
        self._watchlist = watchlist
        self._audit = audit
        self._record = record
        self._accounts = accounts
        self._began_at = accounts.began_at or steady_now()
        self._clock_s = clock_s
        self._lock = threading.RLock()
        self._ticking = threading.Lock()
        self._members = Members(nodes, key=key, silent_s=lease_s + _MARGIN_S, clock_s=clock_s)
        names = [each.name for each in brief.cameras]
        self._places = CameraPlaces(names, self._members, audit, decided=decided, clock_s=clock_s)
        self._logs = LogBinding(audit, folder, clock_s=clock_s)
        self._stopped_because = decided.stopped_because
        self._stop_is_noted = bool(decided.stopped_because)
        self._stopped_s = clock_s()
        self._last: ClusterStatus | None = None
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
            self._require_open()
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
            member, said, alerts = self._members.beat(node, number, beat)
            orders, part = self._orders(node, member, said, alerts)
            return member.session.seal(put_in(orders, (part,) if part else ()), "orders", number)

    # What happens by itself.

    def tick(self) -> None:
        """Give up nodes whose lease has ended, place cameras, bind the engines' logs, and stop when all is over."""
        with self._ticking:
            while self._tick():
                # Nodes are answered in between: their leases run.
                time.sleep(_BETWEEN_MOVES_S)

    @property
    def has_settled(self) -> bool:
        """Whether it was stopped, and every node has ended its engine and handed over what that left.

        Nodes that do not within half a minute are not waited for any longer.
        """
        with self._lock:
            # Nodes of a head that died before have as long to join as they may hold cameras.
            if not self._stop_is_noted or self._clock_s() < self._places_from_s:
                return False
            late = [
                each.name
                for _, each in self._members.all()
                if not each.has_joined or not each.is_idle or self._logs.checkpoints(each) < each.log.sequence
            ]
            is_over = self._clock_s() - self._stopped_s > _SETTLE_S
            if late and is_over:
                log.error("the run ends without the last word of %s", ", ".join(sorted(late)))
            return is_over or not late

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
            if self._last is not None:
                return self._last
            now_s = self._clock_s()
            joined = sorted(self._members.joined().values(), key=lambda each: each.name)
            newest, revision = self._newest_watchlist()
            return ClusterStatus(
                nodes=tuple(
                    NodeStatus(
                        name=each.name,
                        cameras=tuple(sorted(each.cameras)),
                        capacity=each.capacity,
                        beat_s_ago=round(now_s - each.heard_s, 2),
                        is_drained=self._places.is_drained(each.name),
                        has_newest_watchlist=each.watchlist == newest and each.revision == revision,
                        watchlist_revision=each.revision,
                        alerts_waiting=each.waiting,
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
                watchlist_revision=revision,
                stopped_because=self._stopped_because,
            )

    def stop(self, because: str) -> None:
        """End every engine's lease: each stops with its next beat."""
        with self._lock:
            if self._last is None:
                self._stopped_because = self._stopped_because or because
                self._note_stop()

    def close(self) -> None:
        """Bind every engine's log a last time, deliver what waits, and record the totals of the run.

        Raises ``AuditError`` where that cannot be written. Nodes have half a minute again then.
        """
        with self._lock:
            if self._last is not None:
                return
            try:
                self._close()
            except AuditError:
                self._stopped_s = self._clock_s()
                raise

    def _close(self) -> None:
        if self._stopped_because:
            self._note_stop()
        for member in self._members.joined().values():
            self._logs.left(member)
        self._record.close()
        because = self._stopped_because
        totals = self._accounts.totals(
            alerts=self._record.alerts,
            repeats=self._record.repeats,
            undelivered=self._record.undelivered,
            seconds=(steady_now() - self._began_at).total_seconds(),
            because="" if because == _ALL_ENDED else because or STOPPED_BY_OPERATOR,
        )
        self._audit.note(run_ended(totals))
        self._last = replace(self.status(), has_ended=True)
        self._members.clear()

    def _note_stop(self) -> None:
        """Note why it was stopped, once; where that failed before, there is room now, and nodes hand over from now."""
        if not self._stop_is_noted:
            self._audit.note(Event(kind="cluster-stopped", details={"because": self._stopped_because}))
            self._stop_is_noted, self._stopped_s = True, self._clock_s()

    def _tick(self) -> bool:
        """As ``tick``; whether some cameras are still to be moved."""
        with self._lock:
            if self._last is not None:
                return False
            for member in self._members.give_up():
                self._logs.lost(member)
            for member in self._members.joined().values():
                self._logs.grown(member)
            self._stop_where_over()
            if self._stopped_because:
                self._note_stop()
            if self._stopped_because or self._clock_s() < self._places_from_s:
                return False
            return self._places.place()

    def _require_open(self) -> None:
        if self._last is not None:
            raise UnknownNodeError("the run of this cluster has ended")

    def _orders(self, node: str, member: Member, said: Beat, alerts: Sequence[bytes]) -> tuple[Orders, bytes]:
        """The orders, and the part of the watchlist that goes with them."""
        try:
            received = self._logs.add(member, said.checkpoints)
        except OSError as error:
            # Not the node's fault: it tries again, and its lease ends by itself.
            raise AuditError(f"checkpoints of node {member.name} cannot be stored: {error}") from error
        except (ConflictError, ValueError) as error:
            # A node whose log contradicts itself may not go on.
            because = f"the engine's log is not what it was: {error}"
            self._members.note_trouble(member, because)
            return Orders(lease_s=0, stop=because, alerts_read=False), b""
        answer = Orders(
            lease_s=0,
            received=received,
            taken=self._take(member, alerts),
            noted=self._note_accounts(member, said),
        )
        if not self._stopped_because:
            try:
                newest = self._watchlist.now()
            except WatchlistError as error:
                self.stop(str(error))
        if self._stopped_because:
            member.is_idle = not said.cameras and member.account is None and len(alerts) < MOST_ALERTS
            return answer.model_copy(update={"stop": self._stopped_because}), b""
        now_s = self._clock_s()
        has_newest = (said.watchlist, said.revision) == (newest.sha256, newest.revision)
        member.told_s = None if has_newest else now_s if member.told_s is None else member.told_s
        # A node that cannot confirm the newest list has no lease any more: somebody may have been taken off it.
        is_late = member.told_s is not None and now_s - member.told_s > self._lease_s
        lease_s = 0.0 if is_late else self._lease_s
        # One to which more of it comes with every beat is not in trouble.
        is_stuck = is_late and said.fetched == member.fetched
        member.fetched = said.fetched
        self._members.note_trouble(
            member, said.trouble or ("it has not taken the newest watchlist" if is_stuck else "")
        )
        if len(alerts) < MOST_ALERTS:
            # Every alert of theirs has come with this beat.
            self._places.finish(member.ended)
        cameras = frozenset[str]() if is_late else self._places.free_for(node)
        member.cameras |= cameras
        answer = answer.model_copy(update={"lease_s": lease_s, "cameras": tuple(sorted(cameras))})
        if has_newest:
            return answer, b""
        place = ListPlace(sha256=newest.sha256, size=len(newest.content))
        offset, part = part_after(newest.content, newest.sha256, said.fetched)
        return answer.model_copy(update={"watchlist": place, "offset": offset}), part

    def _take(self, member: Member, alerts: Sequence[bytes]) -> tuple[str, ...]:
        """Record these alerts; the ids of those that the node need not keep. It keeps one that cannot be read."""
        taken = []
        for packed in alerts:
            try:
                taken.append(self._record.take(packed, node=member.name))
            except ValueError as error:
                log.error(
                    "an alert of node %s is not recorded and stays in its queue: %s; run the same release on all nodes",
                    member.name,
                    error,
                )
        return tuple(taken)

    def _note_accounts(self, member: Member, said: Beat) -> tuple[str, ...]:
        """Count what the node's engine has counted; the runs of it whose end is in the log."""
        for account in said.accounts:
            if self._accounts.take(account):
                self._logs.ended(member, account)
        return tuple(each.run for each in said.accounts if each.has_ended)

    def _stop_where_over(self) -> None:
        """End everything where the window is over, too many alerts were false, or every recording has ended."""
        if self._stopped_because:
            return
        if self._ends_at is not None and steady_now() >= self._ends_at:
            self.stop(window_over(self._ends_at))
        elif len(self._places.finished) == len(self._brief.cameras):
            self.stop(_ALL_ENDED)
        else:
            try:
                self._ceiling.require(self._accounts.tracks)
            except PylfrError as error:
                self.stop(str(error))

    def _newest_watchlist(self) -> tuple[str, int]:
        try:
            newest = self._watchlist.now()
            return newest.sha256, newest.revision
        except WatchlistError:
            return "", 0
