"""The quick benchmark notices what became slower, by ratio, and is not moved by a machine that is slower as a whole."""

from __future__ import annotations

import numpy as np

from benchmarks.quick import TOLERANCE, measure_pairs, measure_ratios, over_bound, slower
from benchmarks.quick_pairs import Pair


def test_an_artificial_slow_down_is_noticed() -> None:
    small = np.random.default_rng(0).standard_normal((160, 160))

    def once() -> object:
        return small @ small

    def four_times() -> object:
        return [small @ small for _ in range(4)]

    before = measure_ratios({"stage": once, "other": once}, once, rounds=31)
    now = measure_ratios({"stage": four_times, "other": once}, once, rounds=31)
    (found,) = slower(now, before)
    assert found.startswith("stage: ")


def test_only_what_is_beyond_the_tolerance_counts() -> None:
    assert slower({"a": TOLERANCE * 0.99}, {"a": 1.0}) == []
    assert len(slower({"a": TOLERANCE * 1.01}, {"a": 1.0})) == 1
    assert slower({"a": 0.1, "new": 9.0}, {"a": 1.0}) == []


def test_a_stage_that_vanished_is_noticed() -> None:
    assert slower({}, {"a": 1.0}) == ["a: was measured before and is not any more"]


def test_what_is_over_its_own_bound_is_named_whatever_it_was_before() -> None:
    pairs = {
        "cheap": Pair(work=lambda: 1.0, beside=lambda: 2.0, most=0.6),
        "dear": Pair(work=lambda: 4.0, beside=lambda: 2.0, most=1.5),
    }
    ratios = measure_pairs(pairs, rounds=3)
    assert ratios == {"cheap": 0.5, "dear": 2.0}
    assert over_bound(ratios, pairs) == ["dear: 2.00 times, at most 1.5 are accepted"]
