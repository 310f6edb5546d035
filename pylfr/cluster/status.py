"""What a head tells people of its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """A node as people see it. ``why`` says why it is given no cameras.

    ``watchlist_revision`` is the one that it has confirmed to search, 0 before the first; ``alerts_waiting`` are
    on the node and not in the record yet.
    """

    name: str
    cameras: tuple[str, ...]
    capacity: int
    beat_s_ago: float
    is_drained: bool
    has_newest_watchlist: bool
    watchlist_revision: int
    alerts_waiting: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """The whole at one moment; its last where it ``has_ended`` and the record is closed.

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
    watchlist_revision: int
    stopped_because: str
    has_ended: bool = False
