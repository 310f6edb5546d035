"""Which node should have which camera, as the head has decided and recorded it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from pylfr.cluster.decided import Decided
from pylfr.cluster.members import Member, Members
from pylfr.cluster.placement import NodeCapacity, place
from pylfr.governance.audit.audit import AuditLog
from pylfr.types import Event

log = logging.getLogger(__name__)

# A small part of a lease.
_MOVES_S = 0.2


class CameraPlaces:
    """Places cameras on members that have a lease and are neither drained nor in trouble, and notes every move."""

    def __init__(
        self,
        cameras: Sequence[str],
        members: Members,
        audit: AuditLog,
        *,
        decided: Decided,
        clock_s: Callable[[], float],
    ) -> None:
        """``decided`` is what a head that died in this run had decided."""
        self._cameras = cameras
        self._members = members
        self._audit = audit
        self._clock_s = clock_s
        self._target: dict[str, str] = {}
        self._drained = set(decided.drained)
        self._finished = set(decided.finished)
        self.unplaced: tuple[str, ...] = ()

    @property
    def finished(self) -> tuple[str, ...]:
        """The recordings that have come to their end."""
        return tuple(sorted(self._finished))

    def is_drained(self, name: str) -> bool:
        """Whether the node of this name is given no cameras."""
        return name in self._drained

    def drain(self, name: str) -> None:
        """Give the node of this name no cameras any more."""
        self._drained.add(name)
        self._audit.note(Event(kind="node-drained", details={"node": name}))

    def undrain(self, name: str) -> None:
        """Give it cameras again."""
        self._drained.discard(name)
        self._audit.note(Event(kind="node-undrained", details={"node": name}))

    def finish(self, cameras: Collection[str]) -> None:
        """These need no node any more: every frame was analysed, and every alert that can be recorded is."""
        for camera in sorted(set(cameras) - self._finished):
            self._audit.note(Event(kind="camera-finished", details={"camera": camera}))
            self._finished.add(camera)

    def keep(self, node: str, cameras: Collection[str]) -> None:
        """A node has these already: they stay where no other node was to have them."""
        for camera in set(cameras) & set(self._cameras):
            self._target.setdefault(camera, node)

    def free_for(self, node: str) -> frozenset[str]:
        """The cameras that the node should have, and that no other may still hold."""
        held = frozenset[str]().union(*(each.cameras for other, each in self._members.all() if other != node))
        return frozenset(camera for camera, target in self._target.items() if target == node) - held

    def place(self) -> bool:
        """Decide anew, and note what has changed; whether there is more to note.

        Nodes wait meanwhile, and each note is two writes to a disk: many moves are made a few at a time.
        """
        joined = self._members.joined()
        able = [
            NodeCapacity(node=node, cameras=0 if self._is_out(each) else each.capacity) for node, each in joined.items()
        ]
        names = [camera for camera in self._cameras if camera not in self._finished]
        placed = place(names, able, current=self._target, waiting=self.unplaced)
        if placed.unplaced and placed.unplaced != self.unplaced:
            log.error("no node has room for %s: they are analysed by nobody", ", ".join(placed.unplaced))
        self.unplaced = placed.unplaced
        until_s = self._clock_s() + _MOVES_S
        for camera in (*names, *sorted(self._finished & self._target.keys())):
            node = placed.node_of.get(camera)
            if node == self._target.get(camera):
                continue
            if self._clock_s() > until_s:
                return True
            name = joined[node].name if node is not None else None
            self._audit.note(Event(kind="camera-placed", details={"camera": camera, "node": name}))
            if node is None:
                del self._target[camera]
            else:
                self._target[camera] = node
        return False

    def _is_out(self, member: Member) -> bool:
        return member.name in self._drained or not self._members.may_have_cameras(member)
