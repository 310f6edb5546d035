"""The steady clock goes on by itself, whatever somebody does to the system's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pylfr._internal.steady_clock import SteadyClock

NOON = datetime(2026, 1, 11, 12, tzinfo=UTC)


class Clocks:
    def __init__(self) -> None:
        self.system, self.steady_s = NOON, 100.0

    def passes(self, seconds: float) -> None:
        self.system += timedelta(seconds=seconds)
        self.steady_s += seconds


def test_a_system_clock_that_is_set_does_not_move_it_and_is_noticed() -> None:
    clocks = Clocks()
    clock = SteadyClock(system=lambda: clocks.system, steady_s=lambda: clocks.steady_s)
    with clock.held():
        clocks.passes(10)
        clocks.system -= timedelta(minutes=30)
        assert (clock.now(), clock.step_s()) == (NOON + timedelta(seconds=10), -1800)
        clocks.system += timedelta(hours=27)
        clocks.passes(5)
        assert clock.now() == NOON + timedelta(seconds=15)
        with clock.held():
            assert clock.now() == NOON + timedelta(seconds=15), "a second run does not set the first one's clock"


def test_a_new_run_begins_with_the_system_clock_of_its_start() -> None:
    clocks = Clocks()
    clock = SteadyClock(system=lambda: clocks.system, steady_s=lambda: clocks.steady_s)
    clocks.system += timedelta(minutes=5)
    with clock.held():
        assert clock.now() == NOON + timedelta(minutes=5)
