"""Cameras are spread by what each node can hold, stay where they are, and what has no room is said."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pylfr.cluster.placement import NodeCapacity, place

CAMERAS = [f"camera {number}" for number in range(12)]


def nodes(**rooms: int) -> list[NodeCapacity]:
    return [NodeCapacity(node=name, cameras=room) for name, room in rooms.items()]


def test_cameras_are_spread_by_capacity() -> None:
    placed = place(CAMERAS, nodes(small=4, large=8, larger=12), current={})
    assert Counter(placed.node_of.values()) == {"small": 2, "large": 4, "larger": 6}
    assert placed.unplaced == ()


def test_a_lost_node_moves_its_own_cameras_alone() -> None:
    before = place(CAMERAS, nodes(a=6, b=6, c=6), current={}).node_of
    after = place(CAMERAS, nodes(a=6, b=6), current=before).node_of
    assert all(after[camera] == node for camera, node in before.items() if node != "c")
    assert Counter(after.values()) == {"a": 6, "b": 6}


def test_what_has_no_room_is_said_and_placed_first_when_room_comes() -> None:
    first = place(CAMERAS, nodes(a=5), current={})
    assert len(first.unplaced) == 7
    second = place(CAMERAS, nodes(a=5, b=2), current=first.node_of, waiting=first.unplaced)
    assert [camera for camera, node in second.node_of.items() if node == "b"] == list(first.unplaced[:2])


def test_a_drained_node_loses_its_cameras_and_a_new_one_gets_its_share() -> None:
    before = place(CAMERAS, nodes(a=12, b=12), current={}).node_of
    drained = place(CAMERAS, nodes(a=0, b=12), current=before).node_of
    assert set(drained.values()) == {"b"}
    joined = place(CAMERAS, nodes(b=12, c=12), current=drained).node_of
    assert min(Counter(joined.values()).values()) >= 4


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 40),
    st.lists(st.integers(0, 12), min_size=0, max_size=6),
    st.dictionaries(st.integers(0, 39), st.integers(0, 7), max_size=40),
)
def test_no_node_is_overloaded_no_camera_is_lost_and_nothing_moves_twice(
    cameras: int, rooms: list[int], current: dict[int, int]
) -> None:
    names = [f"c{number}" for number in range(cameras)]
    able = [NodeCapacity(node=f"n{number}", cameras=room) for number, room in enumerate(rooms)]
    placed = place(names, able, current={f"c{camera}": f"n{node}" for camera, node in current.items()})
    held = Counter(placed.node_of.values())
    assert all(held[each.node] <= each.cameras for each in able)
    assert sorted((*placed.node_of, *placed.unplaced)) == sorted(names)
    assert not placed.unplaced or sum(held.values()) == sum(rooms)
    again = place(names, able, current=placed.node_of, waiting=placed.unplaced)
    assert again.node_of == placed.node_of
