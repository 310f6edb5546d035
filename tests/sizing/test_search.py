"""The largest load that holds is found with few trials, and confirmed or called unconfirmed."""

from __future__ import annotations

import pytest

from pylfr.sizing.search import Largest, confirm, find_largest


class Machine:
    """Holds up to ``most``, and remembers what it was asked."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[int] = []

    def holds(self, load: int) -> bool:
        self.asked.append(load)
        return load <= self.most


@pytest.mark.parametrize("most", range(1, 70))
@pytest.mark.parametrize("first", [1, 3, 50])
def test_every_capacity_is_found_from_every_beginning(most: int, first: int) -> None:
    machine = Machine(most)
    assert find_largest(machine.holds, first=first, limit=200) == Largest(largest=most, confirmed=False)
    assert len(machine.asked) == len(set(machine.asked)) <= 15


def test_a_machine_that_holds_nothing_is_said_to_hold_nothing() -> None:
    machine = Machine(0)
    assert find_largest(machine.holds, first=8, limit=200).largest == 0
    assert machine.asked == [8, 4, 2, 1]


def test_the_limit_is_not_passed_and_is_said_to_be_a_limit() -> None:
    machine = Machine(1_000)
    assert find_largest(machine.holds, first=3, limit=10) == Largest(largest=10, confirmed=False, at_most=True)
    assert max(machine.asked) == 10
    assert find_largest(Machine(1_000).holds, first=1, limit=1).at_most


def test_a_first_trial_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="first must be 1 to 5"):
        find_largest(Machine(3).holds, first=6, limit=5)


def test_a_short_trial_that_promised_too_much_is_corrected_at_full_length() -> None:
    assert confirm(Largest(largest=20, confirmed=False), Machine(18).holds) == Largest(largest=18, confirmed=True)


def test_what_holds_at_no_full_length_trial_is_not_called_confirmed() -> None:
    machine = Machine(0)
    assert not confirm(Largest(largest=20, confirmed=False), machine.holds).confirmed
    assert len(machine.asked) == 4
    assert confirm(Largest(largest=1, confirmed=False), Machine(0).holds) == Largest(largest=0, confirmed=False)
    assert confirm(Largest(largest=0, confirmed=False), Machine(9).holds) == Largest(largest=0, confirmed=False)
