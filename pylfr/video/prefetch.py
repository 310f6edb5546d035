"""A thread boundary anywhere between two stages."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterable[T], depth: int = 1) -> Generator[T, None, None]:
    """The same items, made on a thread of their own up to ``depth`` ahead.

    The thread starts with the first item that is asked for and ends with the generator; what ``items`` raises is
    raised here after the items before it. Raises ``ValueError`` where ``depth`` is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth must be 1 or more, got {depth}")
    return _prefetch(items, depth)


def _prefetch(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    ready: deque[T] = deque()
    changed = threading.Condition()
    failure: list[BaseException] = []
    ended = closed = False

    def fill() -> None:
        nonlocal ended
        try:
            iterator = iter(items)
            try:
                for item in iterator:
                    with changed:
                        changed.wait_for(lambda: closed or len(ready) < depth)
                        if closed:
                            return
                        ready.append(item)
                        changed.notify_all()
            finally:
                # A generator is closed on the thread that ran it.
                if isinstance(iterator, Generator):
                    iterator.close()
        except BaseException as error:  # it is raised again on the other side
            failure.append(error)
        finally:
            with changed:
                ended = True
                changed.notify_all()

    thread = threading.Thread(target=fill, name="pylfr-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: ready or ended)
                if not ready:
                    break
                item = ready.popleft()
                changed.notify_all()
            yield item
        if failure:
            raise failure[0]
    finally:
        with changed:
            closed = True
            changed.notify_all()
        thread.join()
