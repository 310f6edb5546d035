from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pylfr.video.prefetch import prefetch


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pylfr-prefetch"]


@pytest.mark.parametrize("count", [0, 1, 100])
@pytest.mark.parametrize("depth", [1, 7])
def test_every_item_comes_once_and_in_order(count: int, depth: int) -> None:
    assert list(prefetch(range(count), depth)) == list(range(count))
    assert not prefetch_threads()


def test_items_are_made_on_another_thread() -> None:
    def names() -> Iterator[str]:
        yield threading.current_thread().name

    assert list(prefetch(names())) == ["pylfr-prefetch"]


def test_no_thread_starts_before_the_first_item_is_asked_for() -> None:
    waiting = prefetch(range(3))
    assert not prefetch_threads()
    assert next(waiting) == 0
    waiting.close()


def test_an_error_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("the third is missing")

    items = prefetch(failing(), 5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(LookupError, match="the third is missing"):
        next(items)
    assert not prefetch_threads()


def test_no_more_than_depth_items_are_made_ahead() -> None:
    made = threading.Semaphore(0)
    count = 0

    def counting() -> Iterator[int]:
        nonlocal count
        while True:
            count += 1
            made.release()
            yield count

    items = prefetch(counting(), 3)
    assert next(items) == 1
    for _ in range(5):
        assert made.acquire(timeout=5)
    # One was taken, three wait, one is held until there is room.
    assert not made.acquire(timeout=0.05)
    items.close()


def test_closing_ends_the_thread_and_closes_the_items() -> None:
    closed_on: list[str] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed_on.append(threading.current_thread().name)

    items = prefetch(endless())
    next(items)
    items.close()
    assert closed_on == ["pylfr-prefetch"]
    assert not prefetch_threads()


def test_a_depth_below_one_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="depth must be 1 or more, got 0"):
        prefetch([], 0)
