"""A camera that stands still, repeats itself or runs backwards is found out; one that merely watches a wall is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Float32, Frame, Layout, UInt8
from pylfr.video.batching.batcher import Batcher
from pylfr.video.sources.observer import CameraEvent
from pylfr.video.sources.replay_detection import (
    ReplayCheckedSource,
    ReplayDetector,
    ReplayRules,
    StampOrder,
    replay_rules_of,
)
from pylfr.video.sources.zone import Zone, ZonedSource
from tests.samples import NOON

RATE_HZ = 8
WALL = np.random.default_rng(0).integers(40, 200, (240, 320), dtype=np.uint8)


def noisy(number: int) -> UInt8:
    """The same wall, as a sensor sees it: a little noise that is new in every picture."""
    noise = np.random.default_rng(1_000 + number).integers(0, 3, WALL.shape, dtype=np.uint8)
    return np.asarray(WALL + noise, np.uint8)


def frame_of(luma: UInt8, at: datetime, layout: Layout = "i420") -> Frame:
    half = np.full((120, 160), 128, np.uint8)
    planes: dict[str, tuple[UInt8, ...]] = {
        "i420": (luma, half, half),
        "nv12": (luma, np.full((120, 160, 2), 128, np.uint8)),
        "rgb": (np.repeat(luma[..., None], 3, axis=2),),
    }
    return Frame(camera="gate", sequence=0, captured_at=at, planes=planes[layout], layout=layout)


def scene_of(frame: Frame) -> Float32:
    return np.asarray(ops.measure_scenes([frame])[0])


def look(
    pictures: Sequence[UInt8], *, rules: ReplayRules | None = None, layout: Layout = "i420"
) -> list[tuple[str, float]]:
    """What is reported of pictures that come eight times a second: the kinds, and after how many seconds."""
    scrutiny = ReplayDetector("gate", rules or ReplayRules())
    found: list[tuple[str, float]] = []
    for number, luma in enumerate(pictures):
        frame = frame_of(luma, NOON + timedelta(seconds=number / RATE_HZ), layout)
        found += [(event.kind, number / RATE_HZ) for event in scrutiny.look(scene_of(frame), frame.captured_at)]
    return found


def test_a_wall_with_the_noise_of_a_sensor_is_never_suspected() -> None:
    assert look([noisy(number) for number in range(60 * RATE_HZ)]) == []


@pytest.mark.parametrize("layout", ["i420", "nv12", "rgb"])
def test_a_picture_that_stands_still_is_reported_once_and_so_is_its_recovery(layout: Layout) -> None:
    before, after = [noisy(number) for number in range(8)], [noisy(number) for number in range(100, 116)]
    assert look(before + [noisy(50)] * 20 * RATE_HZ + after, layout=layout) == [
        ("unchanged", 11.0),
        ("recovered", 21.0),
    ]


def test_a_picture_that_stands_still_for_less_is_no_event() -> None:
    assert look(([noisy(1)] * 9 * RATE_HZ + [noisy(2)]) * 2) == []
    assert look([noisy(1)] * 9 * RATE_HZ, rules=ReplayRules(unchanged_s=2)) == [("unchanged", 2.0)]


def test_a_clock_that_the_camera_writes_at_the_edge_does_not_hide_a_picture_that_stands_still() -> None:
    pictures = []
    for number in range(20 * RATE_HZ):
        luma = noisy(1)
        luma[4:20, 4:120] = number
        luma[-20:-4, 4:120] = number
        pictures.append(luma)
    assert look(pictures) == [("unchanged", 10.0)]


def test_a_loop_is_reported_once_while_it_lasts_and_its_end_too() -> None:
    loop = [noisy(number) for number in range(10 * RATE_HZ)]
    after = [noisy(number) for number in range(5_000, 5_000 + 6 * RATE_HZ)]
    found = look(loop * 3 + after)
    assert [kind for kind, _ in found] == ["repeating", "recovered"]
    assert 10 < found[0][1] < 12
    assert 30 < found[1][1] <= 36


def test_a_loop_whose_pictures_are_picked_out_of_step_is_found_too() -> None:
    # Of 25 pictures a second eight are analysed: the second round meets only some of the first one's pictures.
    sent = [noisy(number) for number in range(15 * 25)] * 3
    picked = [sent[int(number * 25 / RATE_HZ)] for number in range(int(len(sent) * RATE_HZ / 25))]
    assert [kind for kind, _ in look(picked)][:1] == ["repeating"]


def test_a_loop_that_is_longer_than_what_is_remembered_is_not_found() -> None:
    loop = [noisy(number) for number in range(10 * RATE_HZ)]
    assert look(loop * 2, rules=ReplayRules(remembered_s=5)) == []


def test_a_picture_that_flickers_between_neighbours_is_no_loop() -> None:
    assert look([noisy(number // 2 + number % 2) for number in range(400)]) == []


def test_a_picture_that_flickers_to_and_fro_for_long_is_one() -> None:
    flicker = [noisy(number // 10 % 2) for number in range(300)]
    assert [kind for kind, _ in look(flicker)] == ["repeating"]


def test_what_is_kept_is_bounded_and_no_picture() -> None:
    scrutiny = ReplayDetector("gate", ReplayRules(remembered_s=10))
    for number in range(40 * RATE_HZ):
        at = NOON + timedelta(seconds=number / RATE_HZ)
        assert not list(scrutiny.look(scene_of(frame_of(noisy(number), at)), at))
    assert len(scrutiny._seen) == len(scrutiny._order) <= 10 * RATE_HZ + 1
    assert all(isinstance(mark, int) for mark in scrutiny._seen)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (63, 65), (1080, 1920)])
def test_pictures_of_every_size_are_compared(size: tuple[int, int]) -> None:
    luma = np.full((*size, 3), 7, np.uint8)
    scrutiny = ReplayDetector("gate", ReplayRules(unchanged_s=1))
    frames = [
        Frame(camera="gate", sequence=0, captured_at=NOON + timedelta(seconds=at), planes=(luma,), layout="rgb")
        for at in range(3)
    ]
    found = [[event.kind for event in scrutiny.look(scene_of(frame), frame.captured_at)] for frame in frames]
    assert found == [[], ["unchanged"], []]


def test_stamps_that_grow_are_in_order_also_with_gaps() -> None:
    order = StampOrder()
    assert [order.take(stamp, stamp) for stamp in (0.0, 0.1, 5.0, 1e6)] == [None] * 4


@pytest.mark.parametrize(("stamp_s", "words"), [(2.0, "came twice"), (1.5, "0.500 s before"), (-1e6, "before the one")])
def test_a_stamp_that_does_not_grow_is_said_once_until_five_seconds_were_in_order(stamp_s: float, words: str) -> None:
    order = StampOrder()
    assert [order.take(each, each) for each in (0.0, 1.0, 2.0)] == [None] * 3
    kind, detail = order.take(stamp_s, 3.0) or ("", "")
    assert kind == "backwards"
    assert words in detail
    assert order.take(stamp_s, 3.1) is None
    assert order.take(stamp_s + 1, 4.0) is None
    assert order.take(stamp_s + 2, 8.0) is None
    assert order.take(stamp_s + 3, 8.2) == ("recovered", "time stamps have been in order for 5 s")
    assert order.take(stamp_s + 4, 20.0) is None


@pytest.mark.parametrize("name", ["unchanged_s", "remembered_s"])
def test_no_time_at_all_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be more than 0 s, got 0"):
        ReplayRules(**{name: 0})


class Replayed:
    """A live camera that nobody can trust: ``picture`` and ``at`` of each of its frames."""

    camera = "gate"
    is_live = True

    def __init__(self, count: int, picture: Callable[[int], UInt8], at: Callable[[int], float]) -> None:
        self._count, self._picture, self._at = count, picture, at
        self.is_closed = False

    def frames(self) -> Iterator[Frame]:
        for number in range(self._count):
            yield frame_of(self._picture(number), NOON + timedelta(seconds=self._at(number)))

    def close(self) -> None:
        self.is_closed = True


def events_of(source: Replayed) -> list[CameraEvent]:
    """What a batcher tells of the source when all of its frames are analysed."""
    scrutinised = ReplayCheckedSource(source, ReplayRules(unchanged_s=5))
    assert (scrutinised.camera, scrutinised.is_live) == ("gate", True)
    batcher = Batcher([scrutinised], detect_hz=None)
    with batcher as batches:
        for batch in batches:
            batcher.shown(batch.frames, ops.measure_scenes(batch.frames))
    assert batcher.counts()["gate"].came == source._count
    assert source.is_closed
    return [event for event in batcher.take_events() if event.kind != "ended"]


def test_a_camera_that_is_honest_gives_its_frames_and_no_event() -> None:
    assert events_of(Replayed(80, noisy, lambda number: number / 8)) == []


@pytest.mark.parametrize("count", [0, 1])
def test_no_frame_and_a_single_one_are_no_event(count: int) -> None:
    assert events_of(Replayed(count, noisy, lambda number: number / 8)) == []


def test_a_camera_that_stands_still_and_one_that_loops_are_events_of_the_run() -> None:
    [still] = events_of(Replayed(80, lambda _: noisy(3), lambda number: number / 8))
    assert (still.camera, still.kind) == ("gate", "unchanged")
    assert still.detail == "exactly the same picture for 5 s"
    [loop] = events_of(Replayed(160, lambda number: noisy(number % 40), lambda number: number / 8))
    assert (loop.kind, loop.detail) == ("repeating", "8 of its last 40 pictures came before, 5 s ago")


def test_a_clock_that_is_set_back_is_an_event_also_between_frames_that_are_looked_at() -> None:
    [event] = events_of(Replayed(40, noisy, lambda number: number / 8 - (3 if number >= 20 else 0)))
    assert event.kind == "backwards"
    assert event.detail == "a time stamp lies 2.875 s before the one that came before it"


def test_a_time_stamp_that_comes_twice_is_an_event() -> None:
    [event] = events_of(Replayed(40, noisy, lambda number: (number - (number == 7)) / 8))
    assert (event.kind, event.detail) == ("backwards", "a time stamp came twice")


def test_the_rules_of_a_camera_are_found_behind_its_zone_and_nowhere_where_there_are_none() -> None:
    rules = ReplayRules(unchanged_s=5)
    street = Replayed(1, noisy, lambda number: number / 8)
    zone = Zone(watch=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
    assert replay_rules_of(ZonedSource(ReplayCheckedSource(street, rules), zone)) is rules
    assert replay_rules_of(ZonedSource(street, zone)) is None
    assert replay_rules_of(street) is None


def test_a_camera_that_nobody_watches_and_one_that_was_removed_are_no_events() -> None:
    batcher = Batcher([Replayed(80, lambda _: noisy(3), lambda number: number / 8)], detect_hz=None)
    with batcher as batches:
        for batch in batches:
            batcher.shown(batch.frames, ops.measure_scenes(batch.frames))
        batcher.remove("gate")
        batcher.shown(batch.frames, ops.measure_scenes(batch.frames))
    assert [event.kind for event in batcher.take_events()] == ["ended"]
