"""A node and its head prove their keys to each other, and nobody else reads, changes or repeats what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pylfr.cluster.session import NodeSide, Welcome, answer
from pylfr.errors import AuthorisationError
from pylfr.governance.keys.keys import SigningKey, make_key, read_signing_key


@pytest.fixture
def keys(tmp_path: Path) -> tuple[SigningKey, SigningKey, SigningKey]:
    """The node's, the head's, a stranger's."""
    made = []
    for name in ("node", "head", "stranger"):
        make_key(tmp_path / f"{name}.key")
        made.append(read_signing_key(tmp_path / f"{name}.key"))
    return made[0], made[1], made[2]


def test_both_sides_open_what_the_other_seals_and_nothing_else(keys: tuple[SigningKey, SigningKey, SigningKey]) -> None:
    node, head, _ = keys
    side = NodeSide(node, head=head.public, challenge="c1")
    welcome, there = answer(side.hello, key=head, node=node.public)
    here = side.establish(welcome)
    sealed = here.seal(b"template", "beat", 1)
    assert b"template" not in sealed
    assert there.open(sealed, "beat", 1) == b"template"
    for kind, number in (("beat", 2), ("orders", 1)):
        with pytest.raises(AuthorisationError, match="not of this session"):
            there.open(sealed, kind, number)
    with pytest.raises(AuthorisationError):
        there.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "beat", 1)


def test_a_node_without_its_key_is_given_nothing(keys: tuple[SigningKey, SigningKey, SigningKey]) -> None:
    node, head, stranger = keys
    side = NodeSide(stranger, head=head.public, challenge="c1")
    with pytest.raises(AuthorisationError, match="does not hold its key"):
        answer(side.hello, key=head, node=node.public)
    replayed = replace(NodeSide(node, head=head.public, challenge="c1").hello, challenge="c2")
    with pytest.raises(AuthorisationError, match="does not hold its key"):
        answer(replayed, key=head, node=node.public)


def test_a_head_that_the_node_does_not_know_is_believed_nothing(
    keys: tuple[SigningKey, SigningKey, SigningKey],
) -> None:
    node, head, stranger = keys
    side = NodeSide(node, head=head.public, challenge="c1")
    welcome, _ = answer(side.hello, key=stranger, node=node.public)
    with pytest.raises(AuthorisationError, match="does not hold the record's key"):
        side.establish(welcome)
    honest, _ = answer(side.hello, key=head, node=node.public)
    with pytest.raises(AuthorisationError):
        side.establish(Welcome(half=b"\1" * 32, signature=honest.signature))
