from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pylfr.video.decoding.frame_sampler import Sampler
from tests.samples import NOON


def test_a_sampler_does_not_drift_and_forgives_rounded_time_stamps() -> None:
    sampler = Sampler(8.0)
    times = [NOON + timedelta(milliseconds=round(number * 1000 / 30)) for number in range(3_000)]
    assert sum(sampler.is_due(at) for at in times) == 800


def test_sampling_twice_at_the_same_rate_changes_nothing() -> None:
    times = [NOON + timedelta(seconds=number / 25) for number in range(500)]
    first, second = Sampler(8.0), Sampler(8.0)
    once = [at for at in times if first.is_due(at)]
    assert [at for at in once if second.is_due(at)] == once


def test_a_clock_that_is_set_back_does_not_silence_a_camera() -> None:
    sampler = Sampler(1.0)
    assert sampler.is_due(NOON)
    assert sampler.is_due(NOON - timedelta(hours=1))
    assert not sampler.is_due(NOON - timedelta(minutes=59, seconds=59.5))
    assert sampler.is_due(NOON - timedelta(minutes=59))


def test_no_frame_is_due_before_the_next_slot_begins_and_the_first_one_then_is() -> None:
    sampler = Sampler(8.0)
    assert sampler.seconds_to_next(NOON) == 0.0
    for at in (NOON + timedelta(seconds=number / 25) for number in range(500)):
        sampler.is_due(at)
        next_at = at + timedelta(seconds=sampler.seconds_to_next(at))
        assert at < next_at <= at + timedelta(seconds=1 / 8)
        ahead = Sampler(8.0)
        ahead._first, ahead._slot = sampler._first, sampler._slot
        assert not ahead.is_due(next_at - timedelta(milliseconds=1))
        assert ahead.is_due(next_at + timedelta(milliseconds=1))
    assert Sampler(None).seconds_to_next(NOON) == 0.0


def test_without_a_rate_every_frame_is_due() -> None:
    assert all(Sampler(None).is_due(datetime(2026, 1, 1, tzinfo=UTC)) for _ in range(3))
