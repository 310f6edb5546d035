"""Rate limits for requests that need no sign-in, per client address."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from pylfr.service.problems import ProblemError

_MINUTE_S = 60.0
# At most this many addresses are remembered, so that an attacker cannot fill the memory.
_MOST_ADDRESSES = 10_000
# One subscriber of IPv6 has at least a /64: each of its addresses would count anew.
_SUBSCRIBER_BITS = 64


class RateLimit:
    """At most ``a_minute`` requests per address and minute, counted in memory. Safe for many threads."""

    def __init__(self, a_minute: int, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._a_minute = a_minute
        self._clock_s = clock_s
        self._lock = threading.Lock()
        # When the current minute of each address began, and its requests since.
        self._asked: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, address: str) -> None:
        """Count one request. Raises ``ProblemError`` (429), with the time to wait, once the limit is reached."""
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
                f"too many sign-in requests: at most {self._a_minute} a minute; wait {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )


def client_address(host: str) -> str:
    """The address that ``host`` counts as: an IPv6 address as its /64, one that only maps IPv4 as that."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _SUBSCRIBER_BITS), strict=False))
