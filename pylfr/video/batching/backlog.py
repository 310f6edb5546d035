"""What waits in the queues of all cameras together, counted as it changes: no frame costs a look at every camera."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Queue(Protocol):
    """What a backlog asks of one camera's queue; its length is the number of frames that wait."""

    def __len__(self) -> int: ...

    @property
    def is_full(self) -> bool:
        """Whether waiting longer brings no further frame of this camera."""
        ...

    @property
    def waits_since_s(self) -> float:
        """Since when its oldest frame waits, on the monotonic clock."""
        ...


Q = TypeVar("Q", bound=Queue)


class Backlog(Generic[Q]):
    """Guarded by ``lock``. ``changed`` wakes the one thread that takes batches, and only when there is a reason to."""

    def __init__(self, size: int) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.waiting = 0
        self._size = size
        self._queues: set[Q] = set()
        self._unfilled: set[Q] = set()
        # Queues with frames, in the order in which they are served.
        self._turns: OrderedDict[Q, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._queues)

    @property
    def is_complete(self) -> bool:
        """Whether a batch is full, or no camera can add to it. Holds ``lock``."""
        return self.waiting >= self._size or not self._unfilled

    @property
    def oldest_s(self) -> float:
        """Since when the oldest frame waits, on the monotonic clock. Holds ``lock``; something must wait."""
        return min(queue.waits_since_s for queue in self._turns)

    def admit(self, queue: Q) -> None:
        """Count another queue. Every queue's share of a batch gets smaller by it. Holds ``lock``."""
        self._queues.add(queue)
        self._refill()

    def dismiss(self, queue: Q) -> None:
        """Count a queue no longer; it must be empty. Holds ``lock``."""
        self._queues.discard(queue)
        self._turns.pop(queue, None)
        self._refill()

    def note(self, queue: Q, *, added: int = 0) -> None:
        """A queue has changed: by ``added`` frames, fewer where negative. Holds ``lock``."""
        was_idle = not self.waiting
        self.waiting += added
        if len(queue):
            self._turns.setdefault(queue)
        else:
            self._turns.pop(queue, None)
        if queue.is_full:
            self._unfilled.discard(queue)
        elif queue in self._queues:
            self._unfilled.add(queue)
        if was_idle or self.is_complete:
            self.changed.notify()

    def turns(self) -> Iterator[Q]:
        """Queues that have frames, each sent to the end when it is given. Holds ``lock``."""
        while self._turns:
            queue, _ = self._turns.popitem(last=False)
            self._turns[queue] = None
            yield queue

    def _refill(self) -> None:
        self._unfilled = {queue for queue in self._queues if not queue.is_full}
        self.changed.notify()
