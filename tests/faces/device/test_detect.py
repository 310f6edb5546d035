"""The room for faces on a device follows what pictures have."""

from __future__ import annotations

from pylfr.faces.device import detect
from pylfr.faces.device.detect import _Room


def test_room_grows_at_once_and_shrinks_when_no_batch_needed_it() -> None:
    room = _Room()
    assert room.faces == 64
    room.fit(300)
    assert room.faces == 512
    for _ in range(detect._BATCHES_BEFORE_SHRINKING - 1):
        room.fit(3)
    assert room.faces == 512
    room.fit(100)
    assert room.faces == 128, "the fullest of these batches still fits"
    for _ in range(detect._BATCHES_BEFORE_SHRINKING):
        room.fit(0)
    assert room.faces == 64
