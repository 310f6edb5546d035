"""Which node analyses which camera: by what each can hold, spread evenly, and with as few moves as possible."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# A camera that is moved is blind for a second or two: nodes may differ by this share of their capacity before it pays.
_UNEVEN = 0.34


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCapacity:
    """A node and how many cameras it can hold: 0 while it is drained."""

    node: str
    cameras: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The node of each camera that has one, and the cameras that no node has room for, longest waiting first."""

    node_of: Mapping[str, str]
    unplaced: tuple[str, ...]


def place(
    cameras: Iterable[str],
    nodes: Sequence[NodeCapacity],
    *,
    current: Mapping[str, str],
    waiting: Sequence[str] = (),
) -> Placement:
    """Where each camera should run now. ``current`` is where they are, ``waiting`` those that had no room before.

    A camera stays where it is while its node is there and has room. The others go to the node with the smallest load
    for its capacity, those that waited first. Then single cameras move from the fullest to the emptiest node, while
    that makes them clearly more even.
    """
    wanted = list(dict.fromkeys((*(each for each in waiting), *cameras)))
    known = set(cameras)
    wanted = [camera for camera in wanted if camera in known]
    room = {each.node: each.cameras for each in nodes if each.cameras > 0}
    held: dict[str, list[str]] = {node: [] for node in room}
    homeless = []
    for camera in wanted:
        node = current.get(camera, "")
        if node in held and len(held[node]) < room[node]:
            held[node].append(camera)
        else:
            homeless.append(camera)
    unplaced = []
    # The node whose load is the smallest once it has one camera more.
    free = [((len(some) + 1) / room[node], node) for node, some in held.items() if len(some) < room[node]]
    heapq.heapify(free)
    for camera in homeless:
        if not free:
            unplaced.append(camera)
            continue
        _, node = heapq.heappop(free)
        held[node].append(camera)
        if len(held[node]) < room[node]:
            heapq.heappush(free, ((len(held[node]) + 1) / room[node], node))
    _even_out(held, room)
    return Placement(
        node_of={camera: node for node, cameras in held.items() for camera in cameras}, unplaced=tuple(unplaced)
    )


def _even_out(held: dict[str, list[str]], room: Mapping[str, int]) -> None:
    """Move one camera after the other from the fullest to the emptiest node."""
    if len(held) < 2:
        return

    def load(node: str) -> float:
        return len(held[node]) / room[node]

    while True:
        fullest = max(held, key=lambda node: (load(node), node))
        emptiest = min(held, key=lambda node: (load(node), node))
        after = max((len(held[fullest]) - 1) / room[fullest], (len(held[emptiest]) + 1) / room[emptiest])
        if load(fullest) - load(emptiest) <= _UNEVEN or after >= load(fullest):
            return
        held[emptiest].append(held[fullest].pop())
