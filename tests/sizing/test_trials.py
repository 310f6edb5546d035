from __future__ import annotations

from pylfr.sizing.search import Largest
from pylfr.sizing.trials import LoadTrial, largest_held, least_failed, load_found, memory_a_camera
from tests.sizing.loads import load_of


def trial(cameras: int, *, most: int, seconds: float = 6.0) -> LoadTrial:
    why_not = "" if cameras <= most else "too slow"
    return LoadTrial(load=load_of(cameras, most=most, seconds=seconds), is_full_length=seconds > 6, why_not=why_not)


def test_memory_a_camera_is_the_slope_and_not_the_base() -> None:
    trials = [trial(cameras, most=9) for cameras in (1, 4, 8)]
    assert memory_a_camera(trials) == 40
    assert memory_a_camera(trials[:1]) == 90


def test_what_held_above_a_number_that_failed_does_not_count() -> None:
    trials = [trial(2, most=9), trial(6, most=9), trial(4, most=3)]
    assert largest_held(trials) == 2
    assert largest_held(trials[2:]) == 0


def test_the_load_of_an_answer_is_its_longest_trial_or_the_fewest_cameras_that_failed() -> None:
    trials = [trial(4, most=4, seconds=60), trial(4, most=4), trial(5, most=4), trial(8, most=4)]
    assert load_found(Largest(largest=4, confirmed=True), trials).seconds == 60
    assert load_found(Largest(largest=0, confirmed=False), trials).cameras == 5
    assert least_failed(trials[:2]).cameras == 4, "none failed"
