from __future__ import annotations

import numpy as np
import pytest

from pylfr import ops
from pylfr.types import Float32

# camera, time_ms, [(centre x, centre y, size, score), ...]
Sight = tuple[int, int, list[tuple[float, float, float, float]]]


def open_tracker(*, max_age_ms: float = 1000, max_tracks: int = 50) -> ops.Tracker:
    return ops.Tracker(0.6, 0.3, 0.2, max_age_ms, max_tracks)


def looks(count: int, *, brightness: float = 0.5) -> Float32:
    return np.tile(np.array([[brightness, 0.2, 4.0]], np.float32), (count, 1))


def update(tracker: ops.Tracker, *sights: Sight) -> list[list[int]]:
    """Ids of each frame's faces; all frames go in as one batch, look alike and belong to one shot."""
    faces = [(index, face) for index, (_, _, seen) in enumerate(sights) for face in seen]
    boxes = np.array([[x - s * 0.4, y - s / 2, x + s * 0.4, y + s / 2] for _, (x, y, s, _) in faces], np.float32)
    ids, _ = tracker.update(
        np.array([camera for camera, _, _ in sights], np.int32),
        np.array([time_ms for _, time_ms, _ in sights], np.int64),
        np.zeros(len(sights), np.uint8),
        np.array([index for index, _ in faces], np.int32),
        boxes.reshape(-1, 4),
        np.array([face[3] for _, face in faces], np.float32),
        looks(len(faces)),
    )
    of_frame: list[list[int]] = [[] for _ in sights]
    for (index, _), track_id in zip(faces, ids.tolist(), strict=True):
        of_frame[index].append(track_id)
    return of_frame


def one(tracker: ops.Tracker, time_ms: int, *faces: tuple[float, float, float, float], camera: int = 0) -> list[int]:
    return update(tracker, (camera, time_ms, list(faces)))[0]


def test_a_still_face_keeps_its_id_and_ids_count_from_one() -> None:
    tracker = open_tracker()
    for time_ms in range(0, 2000, 40):
        assert one(tracker, time_ms, (100, 100, 50, 0.9), (300, 100, 50, 0.9)) == [1, 2]
    assert tracker.alive == 2


def test_two_faces_that_cross_keep_their_ids() -> None:
    tracker = open_tracker()
    for step in range(50):
        left, right = (100 + 8.0 * step, 100, 40, 0.9), (500 - 8.0 * step, 118, 40, 0.9)
        assert one(tracker, 40 * step, left, right) == [1, 2], f"at step {step}"


def test_two_faces_that_hide_each_other_while_they_cross_keep_their_ids() -> None:
    tracker = open_tracker()
    for step in range(50):
        left, right = (100 + 8.0 * step, 100, 40, 0.9), (500 - 8.0 * step, 105, 40, 0.9)
        hidden = abs(left[0] - right[0]) < 24
        ids = one(tracker, 40 * step, left) if hidden else one(tracker, 40 * step, left, right)
        if not hidden:
            assert ids == [1, 2], f"at step {step}"


def test_the_order_of_faces_in_a_frame_does_not_matter() -> None:
    tracker = open_tracker()
    faces = [(100.0 + 90 * n, 100.0, 50.0, 0.9) for n in range(6)]
    assert one(tracker, 0, *faces) == [1, 2, 3, 4, 5, 6]
    assert one(tracker, 40, *faces[::-1]) == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(("gap_ms", "ids"), [(600, [1]), (1000, [1]), (1001, [2]), (5000, [2])])
def test_a_face_comes_back_as_itself_only_within_the_greatest_age(gap_ms: int, ids: list[int]) -> None:
    tracker = open_tracker(max_age_ms=1000)
    for time_ms in range(0, 400, 40):
        one(tracker, time_ms, (100, 100, 50, 0.9))
    assert one(tracker, 360 + gap_ms, (103, 100, 50, 0.9)) == ids


def test_a_walking_face_is_awaited_where_it_would_be_after_a_gap() -> None:
    tracker = open_tracker()
    for step in range(15):
        one(tracker, 40 * step, (100 + 10.0 * step, 100, 50, 0.9))
    # 400 ms unseen: 100 px further, where it does not overlap its last box at all.
    assert one(tracker, 40 * 24, (100 + 10.0 * 24, 100, 50, 0.9)) == [1]


def test_time_decides_how_far_a_face_goes_not_the_number_of_frames() -> None:
    tracker = open_tracker()
    draw = np.random.default_rng(0)
    steps_ms = [40] * 5 + draw.choice([20, 40, 120, 250], 60).tolist()
    for time_ms in np.cumsum(steps_ms).tolist():
        # Four times its own size a second: 250 ms take it clear of where it was.
        assert one(tracker, time_ms, (100 + time_ms * 0.2, 100, 50, 0.9)) == [1]


def test_a_small_fast_face_at_a_low_rate_stays_one_track() -> None:
    tracker = open_tracker()
    # 24 px faces, five frames a second, 90 px a second to begin with: no overlap from frame to frame without a guess.
    ids = [one(tracker, 200 * step, (50 + 20.0 * step, 60, 22, 0.9))[0] for step in range(20)]
    assert ids == [1] * 20


def test_a_face_far_away_is_somebody_else() -> None:
    tracker = open_tracker()
    assert one(tracker, 0, (100, 100, 40, 0.9)) == [1]
    assert one(tracker, 40, (190, 100, 40, 0.9)) == [2]
    assert one(tracker, 80, (190, 100, 90, 0.9)) == [3]


def test_a_weak_face_carries_a_track_on_but_starts_none() -> None:
    tracker = open_tracker()
    assert one(tracker, 0, (100, 100, 50, 0.4)) == [-1]
    assert one(tracker, 40, (100, 100, 50, 0.9)) == [1]
    for time_ms in range(80, 4000, 40):
        assert one(tracker, time_ms, (100, 100, 50, 0.35)) == [1]
    assert one(tracker, 4000, (100, 100, 50, 0.2)) == [-1]


def test_a_strong_face_is_preferred_to_a_weak_one_that_fits_better() -> None:
    tracker = open_tracker()
    one(tracker, 0, (100, 100, 50, 0.9))
    assert one(tracker, 40, (100, 100, 50, 0.4), (110, 100, 50, 0.9)) == [-1, 1]


def test_cameras_do_not_mix_and_each_counts_its_own_ids() -> None:
    tracker = open_tracker()
    here, there = (100.0, 100.0, 50.0, 0.9), (400.0, 100.0, 50.0, 0.9)
    assert update(tracker, (7, 0, [here]), (3, 0, [here, there])) == [[1], [1, 2]]
    assert update(tracker, (3, 40, [there, here]), (7, 40, [here, there])) == [[2, 1], [1, 2]]
    tracker.finish(3)
    assert tracker.alive == 2
    cameras, ids = tracker.ended()
    assert sorted(zip(cameras.tolist(), ids.tolist(), strict=True)) == [(3, 1), (3, 2)]
    assert one(tracker, 80, here, camera=7) == [1]
    assert one(tracker, 80, here, camera=3) == [3]


def test_several_frames_of_one_camera_in_a_batch_are_taken_in_order() -> None:
    together, apart = open_tracker(), open_tracker()
    sights: list[Sight] = [(0, 40 * step, [(100 + 15.0 * step, 100, 40, 0.9)]) for step in range(12)]
    assert update(together, *sights) == [update(apart, sight)[0] for sight in sights] == [[1]] * 12


def test_tracks_end_by_time_even_where_nothing_is_seen() -> None:
    tracker = open_tracker(max_age_ms=500)
    one(tracker, 0, (100, 100, 50, 0.9), (300, 100, 50, 0.9))
    assert tracker.ended()[1].tolist() == []
    one(tracker, 500)
    assert tracker.alive == 2
    one(tracker, 501)
    assert tracker.alive == 0
    cameras, ids = tracker.ended()
    assert (cameras.tolist(), ids.tolist()) == ([0, 0], [1, 2])
    assert tracker.ended()[0].tolist() == []


def test_time_that_runs_backwards_neither_crashes_nor_stops_the_clock() -> None:
    tracker = open_tracker(max_age_ms=1000)
    assert one(tracker, 1_000_000, (100, 100, 50, 0.9)) == [1]
    assert one(tracker, 5000, (101, 100, 50, 0.9)) == [1]
    one(tracker, 5900)
    assert tracker.alive == 1
    one(tracker, 6100)
    assert tracker.alive == 0


def test_a_camera_full_of_tracks_that_are_seen_starts_no_more() -> None:
    tracker = open_tracker(max_tracks=3)
    faces = [(100.0 + 90 * n, 100.0, 50.0, 0.9) for n in range(5)]
    assert one(tracker, 0, *faces) == [1, 2, 3, -1, -1]
    assert one(tracker, 40, *faces) == [1, 2, 3, -1, -1]


def test_in_a_full_camera_the_track_unseen_for_longest_gives_way() -> None:
    tracker = open_tracker(max_tracks=2)
    one(tracker, 0, (100, 100, 50, 0.9), (300, 100, 50, 0.9))
    one(tracker, 40, (300, 100, 50, 0.9))
    assert one(tracker, 80, (300, 100, 50, 0.9), (600, 100, 50, 0.9)) == [2, 3]
    assert tracker.ended()[1].tolist() == [1]
    assert tracker.alive == 2


def test_a_thousand_frames_of_clutter_stay_bounded_and_leave_the_real_face_alone() -> None:
    tracker = open_tracker(max_tracks=30)
    draw = np.random.default_rng(0)
    ended = 0
    for step in range(1000):
        clutter = [
            (x, y, s, score)
            for x, y, s, score in zip(
                draw.uniform(0, 1900, 25),
                draw.uniform(300, 1000, 25),
                draw.uniform(10, 80, 25),
                draw.uniform(0, 1, 25),
                strict=True,
            )
        ]
        ids = one(tracker, 40 * step, (200 + step * 1.5, 100, 60, 0.9), *clutter)
        assert ids[0] == 1
        assert tracker.alive <= 30
        ended += len(tracker.ended()[1])
    assert ended > 1000


def test_every_track_is_reported_once_when_it_ends() -> None:
    tracker = open_tracker(max_tracks=10, max_age_ms=200)
    draw = np.random.default_rng(1)
    started: set[int] = set()
    ended: list[int] = []
    for step in range(300):
        faces = [(float(x), float(y), 30.0, 0.9) for x, y in draw.uniform(0, 1000, (8, 2))]
        started.update(track_id for track_id in one(tracker, 40 * step, *faces) if track_id > 0)
        ended.extend(tracker.ended()[1].tolist())
    tracker.finish(0)
    ended.extend(tracker.ended()[1].tolist())
    assert sorted(ended) == sorted(started) == list(range(1, max(started) + 1))


def test_nothing_at_all_is_fine() -> None:
    tracker = open_tracker()
    assert update(tracker) == []
    assert one(tracker, 0) == []
    tracker.finish(99)
    assert tracker.alive == 0


def test_boxes_without_area_do_not_crash() -> None:
    tracker = open_tracker()
    for step in range(5):
        ids = one(tracker, 40 * step, (100, 100, 0, 0.9))
        assert len(ids) == 1


def test_the_tracker_refuses_what_does_not_fit() -> None:
    tracker = open_tracker()
    camera, time_ms, cut = np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(1, np.uint8)
    index, boxes, scores = np.zeros(1, np.int32), np.zeros((1, 4), np.float32), np.ones(1, np.float32)
    look = looks(1)
    with pytest.raises(ValueError, match="frame_index must name one of 1 frames, got 1 in row 0"):
        tracker.update(camera, time_ms, cut, index + 1, boxes, scores, look)
    with pytest.raises(ValueError, match=r"time_ms must be int64 \[1\], got shape \[2\]"):
        tracker.update(camera, np.zeros(2, np.int64), cut, index, boxes, scores, look)
    with pytest.raises(TypeError, match="time_ms must be int64"):
        tracker.update(camera, time_ms.astype(np.float64), cut, index, boxes, scores, look)
    with pytest.raises(ValueError, match=r"is_cut must be uint8 \[1\], got shape \[2\]"):
        tracker.update(camera, time_ms, np.zeros(2, np.uint8), index, boxes, scores, look)
    with pytest.raises(ValueError, match="boxes must be finite"):
        tracker.update(camera, time_ms, cut, index, boxes * np.float32(np.nan), scores, look)
    with pytest.raises(ValueError, match="looks must be finite"):
        tracker.update(camera, time_ms, cut, index, boxes, scores, look * np.float32(np.nan))
    assert tracker.alive == 0


def follow(
    tracker: ops.Tracker,
    time_ms: int,
    *faces: tuple[float, float, float],
    is_cut: bool = False,
    brightness: float = 0.5,
) -> list[tuple[int, bool]]:
    """Ids and doubts of the faces (centre x, centre y, size) of one frame."""
    boxes = np.array([[x - s * 0.4, y - s / 2, x + s * 0.4, y + s / 2] for x, y, s in faces], np.float32)
    ids, uncertain = tracker.update(
        np.zeros(1, np.int32),
        np.array([time_ms], np.int64),
        np.array([is_cut], np.uint8),
        np.zeros(len(faces), np.int32),
        boxes.reshape(-1, 4),
        np.full(len(faces), 0.9, np.float32),
        looks(len(faces), brightness=brightness),
    )
    return [(track_id, bool(doubt)) for track_id, doubt in zip(ids.tolist(), uncertain.tolist(), strict=True)]


def test_a_cut_ends_every_track_also_of_a_face_at_the_same_place() -> None:
    tracker = open_tracker()
    assert follow(tracker, 0, (100, 100, 50)) == [(1, False)]
    assert follow(tracker, 125, (100, 100, 50)) == [(1, False)]
    assert follow(tracker, 250, (100, 100, 50), is_cut=True) == [(2, False)]
    assert tracker.ended()[1].tolist() == [1]


def test_a_face_that_suddenly_looks_otherwise_may_be_somebody_else() -> None:
    tracker = open_tracker()
    follow(tracker, 0, (100, 100, 50))
    assert follow(tracker, 125, (100, 100, 50), brightness=0.55) == [(1, False)]
    assert follow(tracker, 250, (100, 100, 50), brightness=0.2) == [(1, True)]
    for time_ms in (375, 500, 625):
        follow(tracker, time_ms, (100, 100, 50), brightness=0.2)
    assert follow(tracker, 750, (100, 100, 50), brightness=0.2) == [(1, False)]


def test_a_face_that_was_out_of_sight_may_be_somebody_else_but_not_at_a_low_rate() -> None:
    tracker = open_tracker()
    follow(tracker, 0, (100, 100, 50))
    assert follow(tracker, 125) == []
    assert follow(tracker, 250, (100, 100, 50)) == [(1, False)]
    for time_ms in (375, 500, 625, 750):
        follow(tracker, time_ms)
    assert follow(tracker, 875, (100, 100, 50)) == [(1, True)]
    assert follow(tracker, 1375, (100, 100, 50)) == [(1, False)]


def test_whoever_comes_out_of_an_overlap_is_uncertain_once() -> None:
    tracker = open_tracker()
    doubts: dict[int, list[int]] = {1: [], 2: []}
    for step in range(40):
        for track_id, doubt in follow(tracker, 40 * step, (100 + 8.0 * step, 100, 40), (400 - 8.0 * step, 112, 40)):
            if doubt:
                doubts[track_id].append(step)
    assert [len(each) for each in doubts.values()] == [1, 1]


@pytest.mark.parametrize(("size", "found"), [(50, (1, False)), (64, (1, True)), (110, (2, False))])
def test_a_face_that_suddenly_is_larger_may_be_somebody_else_and_from_a_size_on_is(
    size: float, found: tuple[int, bool]
) -> None:
    tracker = open_tracker()
    for time_ms in (0, 125, 250):
        assert follow(tracker, time_ms, (100, 100, 40)) == [(1, False)]
    assert follow(tracker, 375, (100, 100, size)) == [found]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0.3, 0.6, 0.2, 1000, 10), "low_score must not exceed high_score"),
        ((0.6, 0.3, 0.0, 1000, 10), "iou must be in"),
        ((0.6, 0.3, 0.2, -1, 10), "max_age_ms must be 0 or more"),
        ((0.6, 0.3, 0.2, 1000, 0), "max_tracks_per_camera must be 1 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    settings: tuple[float, float, float, float, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ops.Tracker(*settings)
