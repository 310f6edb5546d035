"""A node: it joins its head, runs an engine under the head's lease, and hands over what that engine records."""

from __future__ import annotations

import fcntl
import hmac
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from pylfr._internal.steady_clock import since_boot_s
from pylfr.cluster.engine_run import CameraEngine, open_run
from pylfr.cluster.envelope import put_in, take_out
from pylfr.cluster.incoming_list import IncomingList
from pylfr.cluster.lease import Lease
from pylfr.cluster.messages import Beat, Brief, EngineAccount, Joining, LogPoint, Orders
from pylfr.cluster.outbox import Outbox
from pylfr.cluster.session import Hello, NodeSide, SealedChannel, Welcome
from pylfr.errors import AuditError, AuthorisationError, PylfrError, WatchlistError
from pylfr.gallery.watchlist.sealed import sealed_revision
from pylfr.governance.audit.audit import AuditLog, open_audit
from pylfr.governance.audit.chain import parse_checkpoint
from pylfr.governance.keys.keys import make_key, read_public_key, read_signing_key
from pylfr.governance.keys.memory import LockedSecret
from pylfr.governance.keys.vault import VaultKey

log = logging.getLogger(__name__)

BEAT_S = 0.3
# A node that is under no head asks this often.
_REJOIN_S = 1.0
# An engine that could not be opened, or has failed, is tried again after this time.
_REOPEN_S = 5.0
MOST_ALERTS = 4
_MOST_CHECKPOINTS = 500
_LEASE_ENDED = "the lease has ended: the head did not renew it"

OpenRun = Callable[..., CameraEngine]


class HeadAwayError(Exception):
    """The head did not answer in time, or cannot be reached."""


class UnknownNodeError(Exception):
    """The head does not know this session any more: it was started again, or has given the node up."""


class HeadLink(Protocol):
    """How a node reaches its head. Every method raises ``HeadAwayError`` where it does not within a second or two."""

    def challenge(self) -> str: ...

    def greet(self, hello: Hello) -> Welcome:
        """Raises ``AuthorisationError`` where the head does not know the node's key."""
        ...

    def join(self, node: str, joining: bytes) -> tuple[bytes, bytes, int]:
        """The sealed brief, the sealed key of the watchlist, and how many checkpoints the head has."""
        ...

    def beat(self, node: str, number: int, beat: bytes) -> bytes:
        """The sealed orders. Raises ``UnknownNodeError`` where the node must join again."""
        ...


class ClusterNode:
    """Runs until ``stop``. Its ``folder`` holds its identity, the head's public key, its engines' log and its outbox.

    Whatever happens to the head or to the network, the engine goes on no longer than its lease.
    """

    def __init__(self, folder: Path, link: HeadLink, *, capacity: int, open_engine: OpenRun = open_run) -> None:
        self._folder = folder
        self._link = link
        self._capacity = capacity
        self._open_engine = open_engine
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._lease = Lease()
        self._engine: CameraEngine | None = None
        # The brief and the key under which the last engine was opened.
        self._terms: tuple[Brief, VaultKey] | None = None
        self._reopen_at_s = 0.0
        self._trouble = ""
        self._run = ""
        # Runs of the engine that have ended, until the head has noted that.
        self._ended: dict[str, EngineAccount] = {}
        self._incoming = IncomingList()
        self._confirmed, self._revision = "", 0
        self._checkpoints: list[bytes] = []
        self._read_to = 0

    def stop(self) -> None:
        """End the engine and leave. May be called from any thread."""
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        """Join, and obey. Raises ``PylfrError`` where the node has no identity or its log is damaged."""
        identity = read_signing_key(self._folder / "node.key")
        head = read_public_key(self._folder / "head.pub")
        with self._alone(), closing(self._open_log()) as audit:
            while not self._stopped.is_set():
                asked_s = since_boot_s()
                try:
                    side = NodeSide(identity, head=head, challenge=self._link.challenge())
                    session = side.establish(self._link.greet(side.hello))
                    self._obey(side.hello.node, session, audit)
                except (HeadAwayError, UnknownNodeError, AuthorisationError) as error:
                    log.warning("not under a head: %s", str(error) or type(error).__name__)
                self._keep_lease()
                self._forget_terms()
                # A head that was started again is joined at once, while the lease of the old one still holds.
                self._stopped.wait(max(0.0, asked_s + _REJOIN_S - since_boot_s()))
            self._end_engine("the node was stopped")

    def _obey(self, node: str, session: SealedChannel, audit: AuditLog) -> None:
        """Join with this session and follow orders until the head does not know it any more."""
        self._keep_lease()
        joining = Joining(
            capacity=self._capacity,
            log_key=read_public_key(self._folder / "engine.pub").text,
            log=_point(audit),
            holding=tuple(sorted(self._engine.cameras)) if self._engine is not None else (),
        )
        given, sealed_key, received = self._link.join(node, session.seal(joining.model_dump_json().encode(), "join", 0))
        brief = Brief.model_validate_json(session.open(given, "brief", 0))
        key = VaultKey(
            secret=LockedSecret.copy_of(session.open(sealed_key, "key", 0)),
            expires_at=brief.watchlist_key_expires_at,
            binds_deadline=brief.watchlist_key_binds_deadline,
        )
        self._keep_terms(brief, key, audit)
        outbox = Outbox(self._folder / "outbox", key, wake=self._wake)
        if self._engine is None:
            # A head that was stopped is told of these with the first beat.
            self._finish_drafts(outbox, audit)
        # Alerts that the head was given in this session and did not take: those behind them are not held up.
        left: set[str] = set()
        number = 0
        while not self._stopped.is_set():
            number += 1
            self._wake.clear()
            self._keep_lease()
            asked_s = since_boot_s()
            alerts = outbox.waiting(MOST_ALERTS, without=left)
            content = put_in(self._beat(audit, outbox, received), [each.packed for each in alerts])
            beat = session.seal(content, "beat", number)
            try:
                answer = self._link.beat(node, number, beat)
                orders, parts = take_out(Orders, session.open(answer, "orders", number))
            except HeadAwayError as error:
                log.warning("the head is away: %s", error)
            else:
                received = orders.received
                if orders.alerts_read:
                    left |= {each.id for each in alerts} - set(orders.taken)
                self._renew_lease(asked_s=asked_s, lease_s=orders.lease_s)
                self._take_watchlist(orders, b"".join(parts))
                self._follow(orders, brief, key, audit, outbox)
            self._keep_lease()
            self._wake.wait(BEAT_S)

    def _follow(self, orders: Orders, brief: Brief, key: VaultKey, audit: AuditLog, outbox: Outbox) -> None:
        outbox.taken(orders.taken)
        for run in orders.noted:
            self._ended.pop(run, None)
        if orders.stop:
            self._end_engine(orders.stop)
        if self._engine is None:
            self._finish_drafts(outbox, audit)
        if orders.stop:
            return
        engine = self._engine
        if engine is not None and engine.trouble:
            self._trouble, self._reopen_at_s = engine.trouble, since_boot_s() + _REOPEN_S
            self._end_engine(engine.trouble)
            engine = None
        may_open = self._lease.left_s and self._has_newest(orders) and since_boot_s() >= self._reopen_at_s
        if engine is None and orders.cameras and may_open:
            try:
                engine = self._engine = self._open_engine(
                    brief, sealed=self._sealed, key=key, audit=audit, lease=self._lease, outbox=outbox
                )
                self._terms = brief, key
                self._run = secrets.token_hex(8)
                self._trouble = ""
            except PylfrError as error:
                self._trouble, self._reopen_at_s = str(error), since_boot_s() + _REOPEN_S
        if engine is not None:
            engine.assign(frozenset(orders.cameras))

    def _has_newest(self, orders: Orders) -> bool:
        """Whether the list on this node's disk is the one that the head would have it search."""
        return bool(self._confirmed) and (orders.watchlist is None or orders.watchlist.sha256 == self._confirmed)

    def _finish_drafts(self, outbox: Outbox, audit: AuditLog) -> None:
        """Log and queue what a killed engine had drafted; no engine is opened until that is done."""
        try:
            outbox.finish_drafts(audit)
        except PylfrError as error:
            self._trouble, self._reopen_at_s = str(error), since_boot_s() + _REOPEN_S

    def _take_watchlist(self, orders: Orders, part: bytes) -> None:
        """Fetch the newest list; once it is whole search it, and say so in the next beat."""
        newest = orders.watchlist
        if newest is None:
            return
        if not self._incoming.take(newest, orders.offset, part):
            self._wake.set()
            return
        try:
            self._incoming.write(self._sealed)
            revision = sealed_revision(self._sealed)[1]
            searched = self._engine.follow_watchlist() if self._engine is not None else None
            if searched not in (None, revision):
                raise WatchlistError(f"revision {searched} is searched, not {revision}")
            self._confirmed, self._revision = newest.sha256, revision
            self._incoming = IncomingList()
            self._wake.set()
        except (OSError, ValueError, WatchlistError) as error:
            # It is not confirmed: the head lets the lease end.
            log.error("the watchlist cannot be taken: %s", error)

    def _beat(self, audit: AuditLog, outbox: Outbox, received: int) -> Beat:
        engine = self._engine
        running = engine.totals if engine is not None else None
        return Beat(
            cameras=tuple(sorted(engine.cameras)) if engine is not None else (),
            failed=engine.failed if engine is not None else {},
            ended=tuple(sorted(engine.ended)) if engine is not None else (),
            accounts=(
                *self._ended.values(),
                *([EngineAccount(run=self._run, has_ended=False, totals=running)] if running is not None else ()),
            ),
            watchlist=self._confirmed,
            revision=self._revision,
            fetched=self._incoming.place,
            log=_point(audit),
            checkpoints=self._unsent(received),
            waiting=outbox.count(),
            trouble=self._trouble if since_boot_s() < self._reopen_at_s else "",
        )

    def _unsent(self, received: int) -> tuple[str, ...]:
        """The checkpoints that the head has not, the oldest first."""
        with (self._folder / "engine.checkpoints").open("rb") as file:
            file.seek(self._read_to)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._read_to += len(whole)
        self._checkpoints += whole.splitlines()
        self._checkpoints = [line for line in self._checkpoints if parse_checkpoint(line).sequence > received]
        return tuple(line.decode() for line in self._checkpoints[:_MOST_CHECKPOINTS])

    def _keep_terms(self, brief: Brief, key: VaultKey, audit: AuditLog) -> None:
        """Stop an engine that was opened under other terms than the head names now: they were changed meanwhile."""
        if self._terms is None:
            return
        before, sealed_by = self._terms
        is_same = hmac.compare_digest(sealed_by.secret.view, key.secret.view) and sealed_by.expires_at == key.expires_at
        if before == brief and is_same:
            return
        self._end_engine("the deployment was changed while its head was away")
        # What that engine left is under the key of then.
        left = Outbox(self._folder / "outbox", sealed_by, wake=self._wake)
        try:
            left.finish_drafts(audit)
            if not is_same:
                left.seal_under(key)
        except (AuditError, OSError) as error:
            raise HeadAwayError(f"what the engine left cannot be sealed under the new key: {error}") from error
        self._terms = None

    def _forget_terms(self) -> None:
        """Hold no key where there is no session, and nothing under it."""
        if self._engine is None and Outbox.is_empty(self._folder / "outbox"):
            self._terms = None

    def _renew_lease(self, *, asked_s: float, lease_s: float) -> None:
        """Where the lease had ended before, so has the engine under it: the next one has a lease of its own."""
        if not self._lease.renew(asked_s=asked_s, lease_s=lease_s):
            self._end_engine(_LEASE_ENDED)
            self._lease = Lease()
            self._lease.renew(asked_s=asked_s, lease_s=lease_s)

    def _keep_lease(self) -> None:
        """Stop an engine whose lease has ended: another may have its cameras."""
        if self._engine is not None and not self._lease.left_s:
            self._end_engine(_LEASE_ENDED)

    def _end_engine(self, because: str) -> None:
        if self._engine is not None:
            log.warning("the engine ends: %s", because)
            self._engine.stop(because)
            if (totals := self._engine.totals) is not None:
                self._ended[self._run] = EngineAccount(run=self._run, has_ended=True, totals=totals)
            self._engine = None

    @property
    def _sealed(self) -> Path:
        return self._folder / "watchlist.sealed"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder: of two processes of one node, the second waits until the first has ended."""
        descriptor = os.open(self._folder / "node.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not self._stopped.is_set():
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    log.warning("another process runs the node in %s: it is waited for", self._folder)
                    self._stopped.wait(_REJOIN_S)
            yield
        finally:
            os.close(descriptor)

    def _open_log(self) -> AuditLog:
        key = self._folder / "engine.key"
        if not key.exists():
            make_key(key)
        return open_audit(
            self._folder / "engine.log", key=read_signing_key(key), checkpoints=self._folder / "engine.checkpoints"
        )


def _point(audit: AuditLog) -> LogPoint:
    head = audit.head
    return LogPoint(sequence=head.sequence, digest=head.digest)
