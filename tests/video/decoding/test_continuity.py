"""Packets that are missing show in the counter of any stream, except where a multiplexer keeps none."""

from __future__ import annotations

import numpy as np

from pylfr.types import Int64, UInt8
from pylfr.video.decoding.continuity import Continuity


def packets(*streams: tuple[int, int]) -> tuple[Int64, UInt8]:
    """Packets of (stream, counter), each with a payload."""
    rows = np.zeros((len(streams), 188), np.uint8)
    rows[:, 3] = [0x10 | counter for _, counter in streams]
    return np.array([stream for stream, _ in streams]), rows


def gaps(streams: list[tuple[int, int]], *, chunk: int = 1000) -> list[list[int]]:
    continuity, pids, rows = Continuity(), *packets(*streams)
    for at in range(0, len(rows), chunk):
        places = np.arange(at, min(at + chunk, len(rows)), dtype=np.int64) * 188
        continuity.take(places, pids[at : at + chunk], rows[at : at + chunk])
    return [[first // 188, last // 188] for first, last, _ in continuity.gaps().tolist()]


def test_a_loss_of_sixteen_shows_in_the_other_streams() -> None:
    with_tables = [(0, number // 5 % 16) if number % 5 == 0 else (256, (number - number // 5 - 1) % 16)
                   for number in range(80)]  # fmt: skip
    assert gaps(with_tables) == gaps(with_tables, chunk=7) == []
    lost = with_tables[:25] + with_tables[45:]
    assert [one for one in gaps(lost) if one[0] < 25 <= one[1]] != []
    assert gaps(lost) == gaps(lost, chunk=7)


def test_what_comes_twice_and_fillers_are_no_loss() -> None:
    assert gaps([(256, 0), (256, 1), (256, 1), (0x1FFF, 9), (256, 2), (0x1FFF, 3), (256, 3)]) == []


def test_a_counter_that_nobody_keeps_says_nothing() -> None:
    assert gaps([each for number in range(40) for each in ((256, number % 16), (0, (3 * number) % 16))]) == []
