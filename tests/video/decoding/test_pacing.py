"""Packets that no counter misses show by tables, clocks and lengths, wherever a chunk of the file ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylfr.types import Int64, UInt8
from pylfr.video.decoding.pacing import ConstantRate, PictureLengths, TableRhythm
from tests.conditions.recordings import plain, with_sound

PICTURES = 0x100
SMALL = {"bf": "0", "crf": "51"}


def packets_of(path: Path) -> UInt8:
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 188)


def gaps(kind: type[TableRhythm] | type[ConstantRate], packets: UInt8, chunk: int) -> Int64:
    followed = kind()
    for at in range(0, len(packets), chunk):
        some = packets[at : at + chunk]
        places = 188 * (at + np.arange(len(some), dtype=np.int64))
        followed.take(places, pids_of(some), some)
    return followed.gaps()


def pids_of(packets: UInt8) -> Int64:
    found: Int64 = (packets[:, 1].astype(np.int64) & 0x1F) << 8 | packets[:, 2]
    return found


def without(packets: UInt8, count: int = 16) -> UInt8:
    """Without so many packets of the pictures, in the middle."""
    pictures = np.flatnonzero(pids_of(packets) == PICTURES)
    return np.delete(packets, pictures[len(pictures) // 2 :][:count], axis=0)


@pytest.mark.parametrize("chunk", [7, 1000])
def test_tables_that_go_on_without_pictures_show_a_loss(tmp_path: Path, chunk: int) -> None:
    whole = packets_of(plain("a.ts", coding=SMALL, frames=150)(tmp_path))
    assert not len(gaps(TableRhythm, whole, chunk))
    assert len(gaps(TableRhythm, without(whole), chunk)) == 1
    # Of a picture that takes sixteen packets tables say nothing.
    large = packets_of(plain("b.ts", size=(320, 192))(tmp_path))
    assert not len(gaps(TableRhythm, without(large, 4), chunk))


def test_tables_beside_sound_say_nothing(tmp_path: Path) -> None:
    packets = packets_of(with_sound("a.ts", 4)(tmp_path))
    assert not len(gaps(TableRhythm, without(packets, 64), 1000))


@pytest.mark.parametrize("chunk", [7, 1000])
def test_a_constant_rate_shows_a_loss_and_where(tmp_path: Path, chunk: int) -> None:
    whole = packets_of(plain("a.ts", options={"muxrate": "3000000"})(tmp_path))
    assert not len(gaps(ConstantRate, whole, chunk))
    first = len(whole) // 2
    ((before, behind, pid),) = gaps(ConstantRate, np.delete(whole, slice(first, first + 16), axis=0), chunk).tolist()
    assert before <= 188 * first <= behind
    assert pid == PICTURES
    varying = packets_of(plain("b.ts")(tmp_path))
    assert not len(gaps(ConstantRate, without(varying), chunk))


@pytest.mark.parametrize("chunk", [7, 1000])
def test_pictures_shorter_than_they_announce_are_found_but_not_before_a_seam(tmp_path: Path, chunk: int) -> None:
    whole = packets_of(plain("a.ts", options={"omit_video_pes_length": "0"}, coding={"bf": "0"})(tmp_path))
    pictures = np.flatnonzero(pids_of(whole) == PICTURES)
    begins = np.flatnonzero((pids_of(whole) == PICTURES) & (whole[:, 1] & 0x40 != 0))
    for packets, expected in ((whole, []), (np.delete(whole, begins[20] + 1, axis=0), [188 * int(begins[20])])):
        lengths = PictureLengths()
        for at in range(0, len(packets), chunk):
            some = packets[at : at + chunk]
            lengths.take(188 * (at + np.arange(len(some), dtype=np.int64)), pids_of(some), some)
        assert lengths.short([]) == expected
        assert lengths.short([188 * int(begins[20]) + 188]) == []
    assert len(pictures) > 0


def test_nothing_follows_from_nothing() -> None:
    none = np.empty((0, 188), np.uint8)
    for kind in (TableRhythm, ConstantRate):
        assert not len(gaps(kind, none, 1))
        assert not len(gaps(kind, np.zeros((4, 188), np.uint8), 1))
