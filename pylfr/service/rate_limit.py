"""How often one address may ask for what anybody may ask for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from pylfr.service.problems import ProblemError

_MINUTE_S = 60.0
# Of addresses no more are remembered: an attacker cannot fill the memory.
_MOST_ADDRESSES = 10_000


class RateLimit:
    """At most ``a_minute`` requests of one address in each of its minutes, in memory alone. Safe for many threads."""

    def __init__(self, a_minute: int, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._a_minute = a_minute
        self._clock_s = clock_s
        self._lock = threading.Lock()
        # When each address began its minute, and how often it has asked since.
        self._asked: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, address: str) -> None:
        """Count one request. Raises ``ProblemError`` (429) for one too many, with when to come back."""
        now = self._clock_s()
        with self._lock:
            began, count = self._asked.get(address, (now, 0))
            if now - began >= _MINUTE_S:
                began, count = now, 0
            self._asked[address] = began, count + 1
            self._asked.move_to_end(address)
            if len(self._asked) > _MOST_ADDRESSES:
                self._asked.popitem(last=False)
        if count >= self._a_minute:
            wait_s = round(began + _MINUTE_S - now) + 1
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._a_minute} requests a minute are enough for signing in: wait {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )
