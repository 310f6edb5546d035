from __future__ import annotations

from itertools import islice

import pytest

from pylfr.video.batching.backlog import Backlog


class Queue:
    """Counts how often it is asked."""

    def __init__(self, name: str, *, depth: int = 2) -> None:
        self.name = name
        self.asked = 0
        self.since_s: list[float] = []
        self._depth = depth

    def __len__(self) -> int:
        return len(self.since_s)

    @property
    def is_full(self) -> bool:
        self.asked += 1
        return len(self.since_s) >= self._depth

    @property
    def waits_since_s(self) -> float:
        return self.since_s[0]


def put(backlog: Backlog[Queue], queue: Queue, at_s: float = 0.0) -> None:
    queue.since_s.append(at_s)
    backlog.note(queue, added=1)


def take(backlog: Backlog[Queue], count: int) -> str:
    names = ""
    for queue in islice(backlog.turns(), count):
        queue.since_s.pop(0)
        backlog.note(queue, added=-1)
        names += queue.name
    return names


@pytest.fixture
def queues() -> list[Queue]:
    return [Queue(name) for name in "abc"]


@pytest.fixture
def backlog(queues: list[Queue]) -> Backlog[Queue]:
    backlog: Backlog[Queue] = Backlog(4)
    with backlog.lock:
        for queue in queues:
            backlog.admit(queue)
    return backlog


def test_a_frame_asks_its_own_queue_and_no_other(backlog: Backlog[Queue], queues: list[Queue]) -> None:
    before = [queue.asked for queue in queues]
    with backlog.lock:
        put(backlog, queues[1])
        take(backlog, 1)
    assert [after.asked - count for after, count in zip(queues, before, strict=True)] == [0, 2, 0]


def test_queues_take_turns_however_many_frames_one_has(backlog: Backlog[Queue], queues: list[Queue]) -> None:
    a, b, c = queues
    with backlog.lock:
        for queue in (a, a, a, b, c, c):
            put(backlog, queue)
        assert take(backlog, 4) == "abca"
        put(backlog, b)
        assert take(backlog, 4) == "cab"
        assert backlog.waiting == 0
        assert take(backlog, 4) == ""


def test_it_is_complete_when_a_batch_is_full_or_every_queue_is(backlog: Backlog[Queue], queues: list[Queue]) -> None:
    a, b, c = queues

    def is_complete_after(*queues: Queue) -> bool:
        for queue in queues:
            put(backlog, queue)
        return backlog.is_complete

    with backlog.lock:
        assert not is_complete_after(a, a, b)
        assert is_complete_after(b)
        take(backlog, 1)
        assert not is_complete_after()
        backlog.dismiss(c)
        assert is_complete_after(a)


def test_the_oldest_frame_is_found_among_queues_with_frames(backlog: Backlog[Queue], queues: list[Queue]) -> None:
    with backlog.lock:
        put(backlog, queues[2], at_s=5.0)
        put(backlog, queues[0], at_s=3.0)
        assert backlog.oldest_s == 3.0
        queues[0].since_s.clear()
        backlog.note(queues[0], added=-1)
        assert backlog.oldest_s == 5.0


def test_who_takes_batches_is_woken_by_the_first_frame_and_by_a_complete_batch(
    backlog: Backlog[Queue], queues: list[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[int] = []
    monkeypatch.setattr(backlog.changed, "notify", lambda: woken.append(backlog.waiting))
    with backlog.lock:
        for queue in (queues[0], queues[1], queues[0], queues[1]):
            put(backlog, queue)
    assert woken == [1, 4]
