"""The nodes of a cluster: who may join, who has, and for how long each may hold its cameras."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from pylfr.cluster.envelope import take_out
from pylfr.cluster.messages import Beat, EngineAccount, Joining, ListPlace, LogPoint
from pylfr.cluster.node import UnknownNodeError
from pylfr.cluster.session import Hello, SealedChannel, Welcome, answer
from pylfr.errors import AuthorisationError, ConfigError
from pylfr.governance.keys.keys import PublicKey, SigningKey

log = logging.getLogger(__name__)

# So long a node in trouble is given no cameras, twice as long each time that it is in trouble again, and no longer than
# the most; without trouble for that time, it starts anew.
_TROUBLED_S, _MOST_TROUBLED_S = 10.0, 300.0
_MOST_CHALLENGES = 1000


@dataclass(slots=True, kw_only=True)
class Member:
    """A node under a lease. ``cameras`` are those that it may hold, ``number`` is that of its last beat.

    It was last heard at ``heard_s``; its lease counts from ``leased_s``, when it beat, or joined holding cameras.
    ``account`` is what its engine has counted, while that runs; one that ``is_idle`` has ended it and handed over all.
    """

    name: str
    session: SealedChannel
    capacity: int = 0
    has_joined: bool = False
    number: int = 0
    heard_s: float
    leased_s: float = -math.inf
    cameras: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    account: EngineAccount | None = None
    waiting: int = 0
    is_idle: bool = False
    watchlist: str = ""
    fetched: ListPlace = field(default_factory=ListPlace)
    revision: int = 0
    told_s: float | None = None
    trouble: str = ""
    troubles: int = 0
    troubled_until_s: float = -math.inf
    log_key: PublicKey | None = None
    log: LogPoint = field(default_factory=lambda: LogPoint(sequence=0, digest=""))
    bound: int = 0
    bound_s: float = 0.0


class Members:
    """Those whose keys are known, by the fingerprints of these keys. Whoever calls holds the head's lock."""

    def __init__(
        self, nodes: Mapping[str, PublicKey], *, key: SigningKey, silent_s: float, clock_s: Callable[[], float]
    ) -> None:
        """``nodes`` are the public keys of those who may join, by name; ``key`` is the record's.

        A node that has been silent for longer than ``silent_s`` has no lease any more.
        """
        self._names = {public.fingerprint: (name, public) for name, public in nodes.items()}
        self._key = key
        self._silent_s = silent_s
        self._clock_s = clock_s
        # In the order in which they were made.
        self._challenges: dict[str, None] = {}
        self._members: dict[str, Member] = {}

    def __getitem__(self, node: str) -> Member:
        """Raises ``UnknownNodeError`` where the node has to join again."""
        if node not in self._members:
            raise UnknownNodeError(f"node {node} is not known here, or was given up: join again")
        return self._members[node]

    def all(self) -> Iterator[tuple[str, Member]]:
        """Every node that may hold cameras, also one that has only greeted."""
        yield from self._members.items()

    def joined(self) -> dict[str, Member]:
        """Those that have joined."""
        return {node: member for node, member in self._members.items() if member.has_joined}

    def challenge(self) -> str:
        """Something new for a node to sign."""
        made = secrets.token_hex(16)
        self._challenges[made] = None
        while len(self._challenges) > _MOST_CHALLENGES:
            del self._challenges[next(iter(self._challenges))]
        return made

    def greet(self, hello: Hello) -> Welcome:
        """Admit a node that holds its key. Raises ``AuthorisationError`` for any other."""
        if hello.challenge not in self._challenges:
            raise AuthorisationError("the challenge is not the head's, or was used before: join again")
        del self._challenges[hello.challenge]
        if hello.node not in self._names:
            raise AuthorisationError(
                f"no node with the key {hello.node} is named in [cluster.nodes]: it is given nothing"
            )
        name, public = self._names[hello.node]
        welcome, session = answer(hello, key=self._key, node=public)
        old = self._members.get(hello.node)
        member = Member(name=name, session=session, heard_s=self._clock_s())
        if old is not None:
            # It may hold its cameras until its old lease ends, whatever it says now.
            member.cameras, member.leased_s = old.cameras, old.leased_s
            member.trouble, member.troubles = old.trouble, old.troubles
            member.troubled_until_s = old.troubled_until_s
        self._members[hello.node] = member
        return welcome

    def join(self, node: str, joining: bytes) -> tuple[Member, Joining]:
        """The node, which has joined now, and its message."""
        member = self[node]
        said = Joining.model_validate_json(member.session.open(joining, "join", 0))
        member.capacity, member.log = said.capacity, said.log
        member.log_key = PublicKey.parse(said.log_key)
        member.heard_s, member.has_joined = self._clock_s(), True
        if said.holding:
            # Under the lease of a head that was there before.
            member.cameras |= frozenset(said.holding)
            member.leased_s = member.heard_s
        return member, said

    def beat(self, node: str, number: int, beat: bytes) -> tuple[Member, Beat, tuple[bytes, ...]]:
        """The node, whose lease counts from now, its message, and its packed alerts.

        One that comes twice, or late, changes nothing.
        """
        member = self[node]
        if not member.has_joined or number <= member.number:
            raise UnknownNodeError(f"node {node} must join first")
        said, alerts = take_out(Beat, member.session.open(beat, "beat", number))
        member.number, member.heard_s = number, self._clock_s()
        member.leased_s = member.heard_s
        member.cameras, member.ended, member.failed = frozenset(said.cameras), frozenset(said.ended), said.failed
        member.watchlist, member.revision, member.log = said.watchlist, said.revision, said.log
        member.waiting = said.waiting
        member.account = next((each for each in said.accounts if not each.has_ended), None)
        return member, said, alerts

    def note_trouble(self, member: Member, why: str) -> None:
        """Why the node is given no cameras for a while; "" where nothing is wrong with it now."""
        now_s = self._clock_s()
        if why and why != member.trouble:
            log.warning("node %s: %s", member.name, why)
        if why:
            member.troubles += not member.trouble
            longer_s = _TROUBLED_S * 2.0 ** min(member.troubles - 1, 10)
            member.troubled_until_s = now_s + min(longer_s, _MOST_TROUBLED_S)
        elif now_s - member.troubled_until_s > _MOST_TROUBLED_S:
            member.troubles = 0
        member.trouble = why

    def may_have_cameras(self, member: Member) -> bool:
        """Whether it has a lease, and has not been in trouble lately."""
        return self._has_lease(member) and self._clock_s() >= member.troubled_until_s

    def give_up(self) -> Iterator[Member]:
        """Forget those that have been silent for too long; yields those that had joined.

        One that has greeted has as long to join; cameras that it had under an earlier lease are free when that ends.
        """
        for node, member in list(self._members.items()):
            if self._clock_s() - member.heard_s > self._silent_s:
                if member.has_joined:
                    # Whoever cannot note it is given it again.
                    yield member
                del self._members[node]
            elif not self._has_lease(member):
                member.cameras = frozenset()

    def _has_lease(self, member: Member) -> bool:
        return self._clock_s() - member.leased_s <= self._silent_s

    def clear(self) -> None:
        """Forget all."""
        self._members.clear()

    def require_name(self, name: str) -> None:
        """Raise ``ConfigError`` where no node that may join has this name."""
        known = sorted(each for each, _ in self._names.values())
        if name not in known:
            raise ConfigError(f"node {name!r} is not in [cluster.nodes]: {', '.join(known)}")
