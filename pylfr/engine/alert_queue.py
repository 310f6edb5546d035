"""Recorded alerts on their way to whoever reads ``Engine.run``: a slow reader does not slow the engine."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator

from pylfr.types import Alert, Recorded

log = logging.getLogger(__name__)

CAPACITY = 256


class AlertQueue:
    """At most ``capacity`` alerts that nobody has read yet; every one of them is recorded and sent already.

    Where ``is_live``, the oldest gives way to a new one and is counted as ``unread``. Recordings wait instead.
    """

    def __init__(self, *, is_live: bool, capacity: int = CAPACITY) -> None:
        self._is_live = is_live
        self._capacity = capacity
        self._changed = threading.Condition()
        self._alerts: deque[Recorded[Alert]] = deque()
        self._is_closed = self._is_abandoned = False
        self.unread = 0

    def put(self, alert: Recorded[Alert]) -> None:
        """Hand an alert to the reader. Waits for room where the cameras are recordings and somebody still reads."""
        with self._changed:
            if not self._is_live:
                self._changed.wait_for(lambda: self._is_abandoned or len(self._alerts) < self._capacity)
            if self._is_abandoned:
                self.unread += 1
                return
            if len(self._alerts) >= self._capacity:
                self._alerts.popleft()
                if not self.unread:
                    log.warning(
                        "the program reads alerts more slowly than they come: %d are unread, the oldest are skipped; "
                        "all are recorded and sent",
                        self._capacity,
                    )
                self.unread += 1
            self._alerts.append(alert)
            self._changed.notify_all()

    def close(self) -> None:
        """No alert follows: the reader gets what is there, and then the end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Nobody reads any more: nobody waits for room, and what comes is unread."""
        with self._changed:
            self._is_abandoned = True
            self.unread += len(self._alerts)
            self._alerts.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Recorded[Alert]]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._alerts or self._is_closed)
                if not self._alerts:
                    return
                alert = self._alerts.popleft()
                self._changed.notify_all()
            yield alert
