"""A run between key frames that is shorter by what time is missing was cut by a loss; a pause was not one."""

from __future__ import annotations

from pylfr.video.decoding.regular_runs import RegularRuns


def lost(*runs: tuple[int, float], inside: float = 0) -> list[int]:
    """Runs of so many pictures, each with the pictures that time passed for behind it; ``inside`` the first one."""
    followed, before, at_s = RegularRuns(), 0.0, 0.0
    for number, (pictures, missing) in enumerate(runs):
        for picture in range(pictures):
            at_s += 0.1
            passed = before if picture == 0 else inside if (number, picture) == (0, 2) else 0
            followed.picture(is_key=picture == 0, missing=passed, at_s=at_s)
        before = missing
    return [count for count, _ in followed.lost()]


WHOLE = [(10, 0.0)] * 4


def test_the_end_of_a_run_that_is_lost_is_missed() -> None:
    assert lost(*WHOLE, (7, 3), *WHOLE) == [3]
    assert lost((7, 3), *WHOLE) == [3]
    # The end of one run, and all of the next.
    assert lost(*WHOLE, (4, 16), *WHOLE) == [16]


def test_a_pause_is_no_loss() -> None:
    assert lost(*WHOLE, (10, 30), *WHOLE) == []
    assert lost(*WHOLE, (7, 3.4), *WHOLE) == []
    assert lost(*WHOLE, (7, 5), *WHOLE) == []


def test_a_coder_without_a_rhythm_or_that_leaves_pictures_out_shows_nothing() -> None:
    assert lost((10, 0), (7, 0), (12, 0), (8, 0), (7, 3), (10, 0)) == []
    assert lost(*WHOLE, (7, 3), *WHOLE, inside=1) == []
    assert lost((10, 0), (7, 3), (10, 0)) == []
