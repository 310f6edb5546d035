"""An engine recognises only while the head has lately said that it may: one that is cut off stops by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from pylfr._internal.steady_clock import since_boot_s
from pylfr.errors import AuthorisationError
from pylfr.protocols import Audit, Authority
from pylfr.types import Alert, Event, Recorded


class Lease:
    """Valid until a moment on a clock that nobody sets and that goes on while the process is frozen.

    It counts from when the engine *asked*, not from when it read the answer: an answer that is read late, after the
    process was frozen or the network held it back, gives no more time than the head has counted. One that has ended
    is never valid again: another engine may have had the cameras meanwhile.
    """

    def __init__(self, *, clock_s: Callable[[], float] = since_boot_s) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        # None before it was given.
        self._until_s: float | None = None

    def renew(self, *, asked_s: float, lease_s: float) -> bool:
        """The head has answered what was asked at ``asked_s``; a lease of 0 s ends it. False: it had ended before."""
        with self._lock:
            if self._until_s is not None and not self.left_s:
                return False
            self._until_s = asked_s + lease_s if lease_s > 0 else 0.0
            return True

    @property
    def left_s(self) -> float:
        """For how many more seconds it is valid; 0 where it is not."""
        return max(0.0, (self._until_s or 0.0) - self._clock_s())

    def require(self) -> None:
        """Raise ``AuthorisationError`` where it has ended."""
        if not self.left_s:
            raise AuthorisationError(
                "this engine's lease has ended: the head has not renewed it, so that another may have its cameras"
            )


class LeasedAuthority:
    """An ``Authority`` that holds only under a valid lease."""

    def __init__(self, authority: Authority, lease: Lease) -> None:
        self._authority = authority
        self._lease = lease

    @property
    def reference(self) -> str:
        return self._authority.reference

    @property
    def ends_at(self) -> datetime | None:
        return self._authority.ends_at

    def require(self, cameras: frozenset[str], captured_at: tuple[datetime, datetime]) -> None:
        self._lease.require()
        self._authority.require(cameras, captured_at)


class LeasedAudit:
    """An ``Audit`` that records an alert only under a valid lease: what is decided after it is not an alert."""

    def __init__(self, audit: Audit, lease: Lease) -> None:
        self._audit = audit
        self._lease = lease

    def record(self, alert: Alert) -> Recorded[Alert]:
        self._lease.require()
        return self._audit.record(alert)

    def note(self, event: Event) -> None:
        self._audit.note(event)

    def close(self) -> None:
        """The log belongs to the node, and outlives its runs."""
