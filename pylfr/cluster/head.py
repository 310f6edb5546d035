"""The head of a cluster: it admits nodes, places cameras, grants leases, and keeps the one record of the deployment."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pylfr.cluster.messages import Beat, Brief, Joining, LogPoint, Orders
from pylfr.cluster.node import MOST_ALERTS, UnknownNodeError
from pylfr.cluster.placement import NodeCapacity, place
from pylfr.cluster.record import ClusterRecord
from pylfr.cluster.session import Hello, SealedChannel, Welcome, answer
from pylfr.cluster.shared_watchlist import SharedWatchlist
from pylfr.errors import AuthorisationError, ConfigError, PylfrError, WatchlistError
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.receiver import CheckpointStore, ConflictError
from pylfr.governance.keys.keys import PublicKey, SigningKey
from pylfr.protocols import Authority, Ceiling
from pylfr.types import Event

log = logging.getLogger(__name__)

# After a lease has ended on the node's clock: what the two clocks may differ by over a few seconds, many times over.
_MARGIN_S = 0.5
# The deployment's log names how far each engine's log has come, at least this often while it grows.
_BIND_EVERY_S = 30.0
_TROUBLED_S = 10.0
_MOST_CHALLENGES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """A node as people see it. ``why`` says why it is given no cameras."""

    name: str
    cameras: tuple[str, ...]
    capacity: int
    beat_s_ago: float
    is_drained: bool
    has_newest_watchlist: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """The whole at one moment.

    ``unplaced`` are cameras that nobody analyses, for want of room; ``ended`` recordings that came to their end, out of
    all ``cameras``.
    """

    nodes: tuple[NodeStatus, ...]
    unplaced: tuple[str, ...]
    ended: tuple[str, ...]
    cameras: int
    failed: Mapping[str, str]
    alerts: int
    repeats: int
    undelivered: int
    stopped_because: str


@dataclass(slots=True, kw_only=True)
class _Member:
    """A node under a lease."""

    name: str
    session: SealedChannel
    capacity: int = 0
    has_joined: bool = False
    number: int = 0
    last_s: float = 0.0
    cameras: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    faces_seen: int = 0
    watchlist: str = ""
    told_s: float | None = None
    trouble: str = ""
    troubled_until_s: float = 0.0
    log_key: PublicKey | None = None
    log: LogPoint = field(default_factory=lambda: LogPoint(sequence=0, digest=""))
    bound: int = 0
    bound_s: float = 0.0


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
        authority: Authority,
        ceiling: Ceiling,
        watchlist: SharedWatchlist,
        audit: AuditLog,
        record: ClusterRecord,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``nodes`` are the public keys of those who may join, by name."""
        self._brief = brief
        self._key = key
        self._names = {public.fingerprint: (name, public) for name, public in nodes.items()}
        self._folder = folder
        self._lease_s = lease_s
        self._authority = authority
        self._ceiling = ceiling
        self._watchlist = watchlist
        self._audit = audit
        self._record = record
        self._clock_s = clock_s
        self._lock = threading.RLock()
        self._challenges: dict[str, float] = {}
        self._members: dict[str, _Member] = {}
        self._stores: dict[str, CheckpointStore] = {}
        self._drained: set[str] = set()
        self._target: dict[str, str] = {}
        self._unplaced: tuple[str, ...] = ()
        self._finished: set[str] = set()
        self._stopped_because = ""
        # Engines of a head that died may go on until their leases end: they are waited for before anything is placed.
        self._places_from_s = clock_s() + lease_s + _MARGIN_S

    # What nodes ask.

    def challenge(self) -> str:
        """Something new for a node to sign."""
        with self._lock:
            made = secrets.token_hex(16)
            self._challenges[made] = self._clock_s()
            while len(self._challenges) > _MOST_CHALLENGES:
                del self._challenges[next(iter(self._challenges))]
            return made

    def greet(self, hello: Hello) -> Welcome:
        """Admit a node that holds its key. Raises ``AuthorisationError`` for any other."""
        with self._lock:
            if self._challenges.pop(hello.challenge, None) is None:
                raise AuthorisationError("the challenge is not the head's, or was used before: join again")
            if hello.node not in self._names:
                raise AuthorisationError(
                    f"no node with the key {hello.node} is named in [cluster.nodes]: it is given nothing"
                )
            name, public = self._names[hello.node]
            welcome, session = answer(hello, key=self._key, node=public)
            old = self._members.get(hello.node)
            member = _Member(name=name, session=session)
            if old is not None:
                # It may hold its cameras until its old lease ends, whatever it says now.
                member.cameras, member.last_s = old.cameras, old.last_s
            self._members[hello.node] = member
            return welcome

    def join(self, node: str, joining: bytes) -> tuple[bytes, bytes, int]:
        """As ``HeadLink.join``."""
        with self._lock:
            member = self._member(node)
            said = Joining.model_validate_json(member.session.open(joining, "join", 0))
            member.capacity, member.log = said.capacity, said.log
            member.log_key = PublicKey.parse(said.log_key)
            member.cameras |= frozenset(said.holding)
            member.last_s, member.has_joined = self._clock_s(), True
            for camera in said.holding:
                self._target.setdefault(camera, node)
            self._note("engine-joined", member)
            member.bound, member.bound_s = said.log.sequence, self._clock_s()
            key = self._watchlist.key
            return (
                member.session.seal(self._brief.model_dump_json().encode(), "brief", 0),
                member.session.seal(bytes(key.secret.view), "key", 0),
                self._store(member).head.sequence,
            )

    def beat(self, node: str, number: int, beat: bytes) -> bytes:
        """As ``HeadLink.beat``. A beat that comes twice, or late, changes nothing."""
        with self._lock:
            member = self._member(node)
            if not member.has_joined or number <= member.number:
                raise UnknownNodeError(f"node {node} must join first")
            said = Beat.model_validate_json(member.session.open(beat, "beat", number))
            member.number, member.last_s = number, self._clock_s()
            member.cameras, member.ended, member.failed = frozenset(said.cameras), frozenset(said.ended), said.failed
            member.faces_seen, member.watchlist, member.log = said.faces_seen, said.watchlist, said.log
            if said.trouble and said.trouble != member.trouble:
                log.warning("node %s: %s", member.name, said.trouble)
            member.trouble = said.trouble
            if said.trouble:
                member.troubled_until_s = self._clock_s() + _TROUBLED_S
            orders = self._orders(node, member, said)
            return member.session.seal(orders.model_dump_json().encode(), "orders", number)

    # What happens by itself.

    def tick(self) -> None:
        """Give up nodes whose lease has ended, place cameras, and bind the engines' logs."""
        with self._lock:
            now_s = self._clock_s()
            for node, member in list(self._members.items()):
                if now_s - member.last_s > self._lease_s + _MARGIN_S:
                    del self._members[node]
                    if member.has_joined:
                        self._note("engine-lost", member)
                elif (
                    member.has_joined
                    and member.log.sequence > member.bound
                    and (now_s - member.bound_s >= _BIND_EVERY_S)
                ):
                    self._bind(member, now_s)
            self._require_authorised()
            if now_s >= self._places_from_s and not self._stopped_because:
                self._place(now_s)

    # What people ask.

    def drain(self, name: str) -> None:
        """Give a node no cameras any more. Raises ``ConfigError`` where no node has that name."""
        with self._lock:
            self._require_name(name)
            self._drained.add(name)
            self._audit.note(Event(kind="node-drained", details={"node": name}))
            self.tick()

    def undrain(self, name: str) -> None:
        """Give a node cameras again. Raises ``ConfigError`` where no node has that name."""
        with self._lock:
            self._require_name(name)
            self._drained.discard(name)
            self._audit.note(Event(kind="node-undrained", details={"node": name}))
            self.tick()

    def status(self) -> ClusterStatus:
        """The whole, now."""
        with self._lock:
            now_s = self._clock_s()
            joined = sorted((each for each in self._members.values() if each.has_joined), key=lambda each: each.name)
            newest = self._newest_watchlist()
            return ClusterStatus(
                nodes=tuple(
                    NodeStatus(
                        name=each.name,
                        cameras=tuple(sorted(each.cameras)),
                        capacity=each.capacity,
                        beat_s_ago=round(now_s - each.last_s, 2),
                        is_drained=each.name in self._drained,
                        has_newest_watchlist=each.watchlist == newest,
                        why=each.trouble,
                    )
                    for each in joined
                ),
                unplaced=self._unplaced,
                ended=tuple(sorted(self._finished)),
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
            for member in self._members.values():
                if member.has_joined:
                    self._note("engine-left", member)
            self._members.clear()

    def _orders(self, node: str, member: _Member, said: Beat) -> Orders:
        store = self._store(member)
        try:
            received = store.add(line.encode() for line in said.checkpoints).sequence
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
            self._finished |= member.ended
        cameras = {camera for camera, target in self._target.items() if target == node and self._is_free(camera, node)}
        member.cameras |= cameras
        return Orders(
            lease_s=lease_s, cameras=tuple(sorted(cameras)), watchlist=content, received=received, taken=taken
        )

    def _is_free(self, camera: str, node: str) -> bool:
        """Whether no other node may still have the camera."""
        return all(camera not in each.cameras for other, each in self._members.items() if other != node)

    def _place(self, now_s: float) -> None:
        able = [
            NodeCapacity(node=node, cameras=0 if self._is_out(each, now_s) else each.capacity)
            for node, each in self._members.items()
            if each.has_joined
        ]
        names = [camera.name for camera in self._brief.cameras if camera.name not in self._finished]
        placed = place(names, able, current=self._target, waiting=self._unplaced)
        for camera in (*names, *sorted(self._finished & self._target.keys())):
            node = placed.node_of.get(camera)
            if node != self._target.get(camera):
                name = self._members[node].name if node is not None else None
                self._audit.note(Event(kind="camera-placed", details={"camera": camera, "node": name}))
        if placed.unplaced and placed.unplaced != self._unplaced:
            log.error("no node has room for %s: they are analysed by nobody", ", ".join(placed.unplaced))
        self._target, self._unplaced = dict(placed.node_of), placed.unplaced

    def _is_out(self, member: _Member, now_s: float) -> bool:
        return member.name in self._drained or now_s < member.troubled_until_s

    def _require_authorised(self) -> None:
        """End everything where the deployment may not go on: its window is over, or too many alerts were false."""
        try:
            self._ceiling.require(sum(each.faces_seen for each in self._members.values()))
        except PylfrError as error:
            self.stop(str(error))

    def _bind(self, member: _Member, now_s: float) -> None:
        self._note("engine-log", member)
        member.bound, member.bound_s = member.log.sequence, now_s

    def _note(self, kind: str, member: _Member) -> None:
        """Write into the deployment's log how far the engine's log has come, and whose key signs that."""
        details = {
            "node": member.name,
            "key": member.log_key.text if member.log_key is not None else None,
            "sequence": member.log.sequence,
            "digest": member.log.digest,
        }
        match kind:
            case "engine-joined":
                self._audit.note(Event(kind="engine-joined", details=details))
            case "engine-lost":
                self._audit.note(Event(kind="engine-lost", details=details))
            case "engine-left":
                self._audit.note(Event(kind="engine-left", details=details))
            case _:
                self._audit.note(Event(kind="engine-log", details=details))

    def _store(self, member: _Member) -> CheckpointStore:
        """Where the checkpoints of the engine's log are, on this machine."""
        if member.log_key is None:
            raise UnknownNodeError("the node has not joined")
        fingerprint = member.log_key.fingerprint
        if fingerprint not in self._stores:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            store = CheckpointStore(self._folder / f"{fingerprint}.checkpoints", member.log_key)
            store.load()
            self._stores[fingerprint] = store
        return self._stores[fingerprint]

    def _member(self, node: str) -> _Member:
        if node not in self._members:
            raise UnknownNodeError(f"node {node} is not known here, or was given up: join again")
        return self._members[node]

    def _newest_watchlist(self) -> str:
        try:
            return self._watchlist.now().sha256
        except WatchlistError:
            return ""

    def _require_name(self, name: str) -> None:
        known = sorted(each for each, _ in self._names.values())
        if name not in known:
            raise ConfigError(f"node {name!r} is not in [cluster.nodes]: {', '.join(known)}")
