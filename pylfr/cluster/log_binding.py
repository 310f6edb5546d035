"""Binds the engines' own logs into the deployment's: how far each has come, and the checkpoints that left its node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pylfr._internal.private_folder import make_private_folder
from pylfr.cluster.accounts import details_of
from pylfr.cluster.members import Member
from pylfr.cluster.messages import EngineAccount
from pylfr.cluster.node import UnknownNodeError
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.receiver import CheckpointStore
from pylfr.types import Event

# The deployment's log names how far each engine's log has come, at least this often while it grows.
_BIND_EVERY_S = 30.0


class LogBinding:
    """Notes in the deployment's log, and files of checkpoints in ``folder``, one for each engine's key."""

    def __init__(self, audit: AuditLog, folder: Path, *, clock_s: Callable[[], float]) -> None:
        self._audit = audit
        self._folder = folder
        self._clock_s = clock_s
        self._stores: dict[str, CheckpointStore] = {}

    def joined(self, member: Member) -> None:
        """An engine's log is known from here on."""
        self._audit.note(Event(kind="engine-joined", details=_place_of(member)))
        self._bound(member)

    def grown(self, member: Member) -> None:
        """Note how far the engine's log has come, if it has grown and was not noted lately."""
        if member.log.sequence > member.bound and self._clock_s() - member.bound_s >= _BIND_EVERY_S:
            self._audit.note(Event(kind="engine-log", details=_place_of(member)))
            self._bound(member)

    def lost(self, member: Member) -> None:
        """Its lease has ended: this is the last that is known of its log."""
        self._audit.note(Event(kind="engine-lost", details=_place_of(member)))

    def ended(self, member: Member, account: EngineAccount) -> None:
        """A run of its engine has ended: what it has counted."""
        self._audit.note(Event(kind="engine-ended", details=_place_of(member) | details_of(account)))

    def left(self, member: Member) -> None:
        """The whole has ended."""
        self._audit.note(Event(kind="engine-left", details=_place_of(member)))

    def checkpoints(self, member: Member) -> int:
        """How many checkpoints of the engine's log are on this machine."""
        return self._store(member).head.sequence

    def add(self, member: Member, lines: Iterable[str]) -> int:
        """Store these checkpoints; how many there are now.

        Raises ``ConflictError`` where the log contradicts itself, ``ValueError`` for what is no checkpoint of it, and
        ``OSError``.
        """
        return self._store(member).add(line.encode() for line in lines).sequence

    def _bound(self, member: Member) -> None:
        member.bound, member.bound_s = member.log.sequence, self._clock_s()

    def _store(self, member: Member) -> CheckpointStore:
        if member.log_key is None:
            raise UnknownNodeError("the node has not joined")
        fingerprint = member.log_key.fingerprint
        if fingerprint not in self._stores:
            make_private_folder(self._folder)
            store = CheckpointStore(self._folder / f"{fingerprint}.checkpoints", member.log_key)
            store.load()
            self._stores[fingerprint] = store
        return self._stores[fingerprint]


def _place_of(member: Member) -> dict[str, str | int | float | bool | None]:
    """How far the engine's log has come, whose key signs that, and what its run has counted so far."""
    return {
        "node": member.name,
        "key": member.log_key.text if member.log_key is not None else None,
        "sequence": member.log.sequence,
        "digest": member.log.digest,
        **(details_of(member.account) if member.account is not None else {}),
    }
