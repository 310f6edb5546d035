"""Probe templates exist only during a loan from the pool: wiped at its end, also when an error ends it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pylfr.faces.template_pool import ProbePool


def test_borrowed_memory_reads_as_zeros_after_its_loan() -> None:
    pool = ProbePool(rows=8, dimension=16)
    with pool.borrow(3, model="m") as probes:
        probes.vectors[:] = 7.0
        assert probes.vectors.shape == (3, 16)
    assert not probes.vectors.any()


def test_an_error_inside_the_loan_wipes_too() -> None:
    pool = ProbePool(rows=2, dimension=4)
    probes = None

    def fail() -> None:
        nonlocal probes
        with pool.borrow(2, model="m") as probes:
            probes.vectors[:] = 1.0
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert probes is not None
    assert not probes.vectors.any()
    with pool.borrow(1, model="m"):
        pass


def test_too_many_rows_and_a_nested_loan_are_refused() -> None:
    pool = ProbePool(rows=2, dimension=4)
    with pytest.raises(ValueError, match="a pool of 2 templates cannot lend 3"), pool.borrow(3, model="m"):
        pass
    with (
        pool.borrow(1, model="m"),
        pytest.raises(RuntimeError, match="borrowed the pool already"),
        pool.borrow(1, model="m"),
    ):
        pass


def test_threads_that_share_a_pool_take_turns() -> None:
    pool = ProbePool(rows=4, dimension=16)

    def borrow(number: int) -> bool:
        with pool.borrow(4, model="m") as probes:
            was_clean = not probes.vectors.any()
            probes.vectors[:] = number
            time.sleep(0.001)
            return was_clean and bool((probes.vectors == number).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(borrow, range(1, 65)))
    assert pool.dwell().count == 4 * 64


def test_dwell_counts_every_template_and_the_longest_exactly() -> None:
    pool = ProbePool(rows=8, dimension=4)
    assert pool.dwell().count == 0
    for count in (1, 0, 4):
        with pool.borrow(count, model="m") as probes:
            np.copyto(probes.vectors, 1.0)
    dwell = pool.dwell()
    assert dwell.count == 5
    assert 0 < dwell.p50 <= dwell.p99 <= dwell.max
