"""A live stream that falls behind is brought back to the live edge, and nothing else is left out."""

from __future__ import annotations

from pylfr.video.decoding.latency_catchup import LONGEST_LAG_S, LatencyCatchup

KEY_EVERY = 25


def play(edge: LatencyCatchup, delays_s: list[float]) -> list[bool]:
    """Which of the frames, 25 a second with a key frame a second, are wanted, each taken up with its delay."""
    return [
        edge.wants(1000 + number / 25, 5 + number / 25 + delay_s, is_key=number % KEY_EVERY == 0)
        for number, delay_s in enumerate(delays_s)
    ]


def test_a_stream_on_time_is_decoded_whole_also_with_jitter() -> None:
    edge = LatencyCatchup()
    assert all(play(edge, [0.3 * (number % 3) for number in range(200)]))
    assert edge.skipped == 0


def test_a_decoder_that_falls_behind_leaves_out_until_a_key_frame_at_the_live_edge() -> None:
    edge = LatencyCatchup()
    # A tenth of a second is lost with each frame, until frames are left out and it is made good.
    delays = [0.1 * number for number in range(15)] + [0.0] * 60
    wanted = play(edge, delays)
    first_left_out = wanted.index(False)
    assert delays[first_left_out] > LONGEST_LAG_S
    resumed = wanted.index(True, first_left_out)
    assert resumed == KEY_EVERY
    assert all(wanted[resumed:])
    assert edge.skipped == resumed - first_left_out


def test_a_key_frame_that_is_late_itself_does_not_resume() -> None:
    edge = LatencyCatchup()
    wanted = play(edge, [0.0] * 10 + [2.0] * 110)
    assert all(wanted[:10])
    assert not any(wanted[10:])


def test_a_way_that_became_longer_for_good_is_accepted_after_some_seconds() -> None:
    edge = LatencyCatchup()
    wanted = play(edge, [0.0] * 10 + [2.0] * 300)
    assert not any(wanted[10:130])
    assert all(wanted[175:])


def test_a_camera_whose_clock_drifts_is_not_taken_for_late() -> None:
    edge = LatencyCatchup()
    # 100 parts in a million for two days.
    assert all(edge.wants(number * 10.0, number * 10.0 * 1.0001, is_key=number % 10 == 0) for number in range(17_280))


def test_time_stamps_that_jump_ahead_are_no_lag() -> None:
    edge = LatencyCatchup()
    assert edge.wants(10.0, 100.0, is_key=True)
    assert edge.wants(5_000.0, 100.04, is_key=False)


def test_time_stamps_that_jump_back_cost_seconds_and_not_the_camera() -> None:
    edge = LatencyCatchup()
    assert edge.wants(5_000.0, 100.0, is_key=True)
    later = [edge.wants(number / 25, 100.04 + number / 25, is_key=number % KEY_EVERY == 0) for number in range(300)]
    assert not any(later[:120])
    assert all(later[175:])
