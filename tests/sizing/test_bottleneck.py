from __future__ import annotations

from dataclasses import replace

import pytest

from pylfr.sizing.bottleneck import bottleneck_of, shares_of
from pylfr.sizing.stopwatch import Spent
from tests.sizing.loads import load_of


def test_where_the_processor_is_exhausted_the_costliest_stage_binds() -> None:
    bottleneck = bottleneck_of(load_of(11, most=11))
    assert bottleneck.stage == "decode"
    assert "the cores are 100% busy" in bottleneck.evidence


def test_where_a_thread_of_the_engine_is_exhausted_its_longest_stage_binds() -> None:
    stages = {name: Spent(calls=1, wall_s=wall_s, cpu_s=0.1) for name, wall_s in (("detect", 2.0), ("plan", 5.0))}
    bottleneck = bottleneck_of(replace(load_of(1, most=11), loop_busy=0.9, stages=stages))
    assert bottleneck.stage == "Python"
    assert "90% busy" in bottleneck.evidence


def test_an_idle_machine_is_said_to_be_idle() -> None:
    assert "nothing is used up" in bottleneck_of(load_of(1, most=11)).evidence


def test_shares_add_up_and_are_all_0_where_nothing_was_used() -> None:
    load = load_of(1, most=11)
    assert sum(shares_of(load).values()) == pytest.approx(1)
    assert set(shares_of(replace(load, cpu_s={})).values()) == {0.0}
