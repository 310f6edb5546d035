"""Who is a member: how long one has to join after its greeting, and when its cameras are free."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.cluster.envelope import put_in
from pylfr.cluster.members import Members
from pylfr.cluster.messages import Beat, Joining, LogPoint
from pylfr.cluster.node import UnknownNodeError
from pylfr.cluster.session import NodeSide, SealedChannel
from pylfr.governance.keys.keys import SigningKey, make_key, read_signing_key

LEASE_S = 3.0


class Stage:
    """A head's members on a clock that the test sets, and the one node that may join."""

    def __init__(self, folder: Path) -> None:
        self._head, self._node = _key(folder / "head.key"), _key(folder / "node.key")
        self.now_s = 1000.0
        self.node = self._node.public.fingerprint
        self.members = Members({"a": self._node.public}, key=self._head, silent_s=LEASE_S, clock_s=lambda: self.now_s)

    def greet(self) -> SealedChannel:
        side = NodeSide(self._node, head=self._head.public, challenge=self.members.challenge())
        return side.establish(self.members.greet(side.hello))

    def join(self, session: SealedChannel, *holding: str) -> None:
        joining = Joining(
            capacity=6, log_key=self._node.public.text, log=LogPoint(sequence=0, digest=""), holding=holding
        )
        self.members.join(self.node, session.seal(joining.model_dump_json().encode(), "join", 0))

    def beat(self, session: SealedChannel, number: int) -> None:
        said = put_in(Beat(cameras=(), log=LogPoint(sequence=0, digest="")), ())
        self.members.beat(self.node, number, session.seal(said, "beat", number))

    @property
    def may_have_cameras(self) -> bool:
        return self.members.may_have_cameras(self.members[self.node])

    def given_up(self) -> list[str]:
        return [each.name for each in self.members.give_up()]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def _key(path: Path) -> SigningKey:
    make_key(path)
    return read_signing_key(path)


def test_a_node_has_a_lease_s_time_to_join_after_it_has_greeted(stage: Stage) -> None:
    session = stage.greet()
    stage.now_s += LEASE_S - 0.1
    assert stage.given_up() == []
    stage.join(session)
    stage.now_s += LEASE_S + 0.1
    assert stage.given_up() == ["a"]
    with pytest.raises(UnknownNodeError, match="join again"):
        stage.join(session)


def test_one_that_greets_and_does_not_join_is_forgotten(stage: Stage) -> None:
    stage.greet()
    stage.now_s += LEASE_S + 0.1
    assert stage.given_up() == []
    assert list(stage.members.all()) == []


def test_who_greets_again_holds_its_cameras_until_its_old_lease_ends_and_no_longer(stage: Stage) -> None:
    stage.join(stage.greet(), "north", "south")
    stage.now_s += LEASE_S - 0.1
    session = stage.greet()
    stage.given_up()
    assert stage.members[stage.node].cameras == {"north", "south"}
    stage.now_s += 0.2
    stage.given_up()
    assert stage.members[stage.node].cameras == frozenset()
    stage.join(session)
    assert stage.members[stage.node].has_joined


def test_a_node_whose_loss_could_not_be_noted_is_given_up_again(stage: Stage) -> None:
    stage.join(stage.greet())
    stage.now_s += LEASE_S + 0.1
    lost = stage.members.give_up()
    next(lost)
    # As where the disk is full: whoever was to note it goes on no further.
    del lost
    assert stage.given_up() == ["a"]
    assert stage.given_up() == []


def test_a_node_that_dies_between_its_joining_and_its_first_beat_is_given_no_cameras(stage: Stage) -> None:
    for _ in range(5):
        stage.join(stage.greet())
        assert not stage.may_have_cameras
        stage.now_s += LEASE_S / 2
        assert stage.given_up() == []
    session = stage.greet()
    stage.join(session)
    stage.beat(session, 1)
    assert stage.may_have_cameras


def test_a_node_in_trouble_again_and_again_is_given_no_cameras_for_longer_and_longer(stage: Stage) -> None:
    session, number, waits = stage.greet(), 0, []
    stage.join(session)

    def beat() -> None:
        nonlocal number
        number += 1
        stage.beat(session, number)

    for _ in range(7):
        beat()
        stage.members.note_trouble(stage.members[stage.node], "its disk is full")
        stage.members.note_trouble(stage.members[stage.node], "")
        troubled_s = stage.now_s
        while not stage.may_have_cameras:
            stage.now_s += 1.0
            beat()
            stage.members.note_trouble(stage.members[stage.node], "")
        waits.append(stage.now_s - troubled_s)
    assert waits == [10, 20, 40, 80, 160, 300, 300]
    stage.now_s += 301
    beat()
    stage.members.note_trouble(stage.members[stage.node], "")
    stage.members.note_trouble(stage.members[stage.node], "its disk is full")
    stage.now_s += 10
    beat()
    assert stage.may_have_cameras
