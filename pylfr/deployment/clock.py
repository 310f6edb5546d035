"""Is the system's clock to be believed? A jump forward only where a second source confirms it.

A clock that is once a day ahead would destroy keys for good. What has passed since the deployment was last opened is
known from a clock that nobody sets, as long as the machine was not restarted; whether NTP disciplines the
system's clock, the kernel knows. Where neither confirms it, a person has to.
"""

from __future__ import annotations

import ctypes
import json
import os
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from pylfr._internal.atomic_file import write_whole
from pylfr._internal.canonical_json import utc_text
from pylfr._internal.regular_file import read_file
from pylfr._internal.steady_clock import since_boot_s, system_now
from pylfr._internal.strict_json import moment_of, parse_object, text_of
from pylfr.errors import AuditError

# Clocks drift by seconds a day; what is more was set.
_SLACK = timedelta(minutes=1)
# After a restart nothing but the clock itself says how long the machine was off.
_LONGEST_OFF = timedelta(hours=24)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# adjtimex(2): the size of its record on 64-bit Linux is below this; where the status is in it; what it says.
_TIMEX_BYTES, _STATUS_AT, _STA_UNSYNC, _TIME_ERROR = 512, 40, 0x40, 5
_LARGEST_FILE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """What a machine's clocks said at one moment. ``boot`` names the machine's start, "" where that is not known."""

    at: datetime
    since_boot_s: float
    boot: str


def read_clocks() -> ClockReading:
    """What the clocks of this machine say now."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return ClockReading(at=system_now(), since_boot_s=since_boot_s(), boot=boot)


def doubt_about(now: ClockReading, last: ClockReading | None, *, is_synchronised: bool) -> str:
    """Why the clock is not to be believed; "" where it is.

    ``last`` is what the clocks said when the deployment was last opened, None where that is not known.
    ``is_synchronised`` says whether NTP disciplines the clock.
    """
    if last is None or is_synchronised:
        return ""
    if now.boot and now.boot == last.boot:
        passed = timedelta(seconds=now.since_boot_s - last.since_boot_s)
        if now.at - last.at <= passed + _SLACK:
            return ""
        return (
            f"the clock says {utc_text(now.at)}; by what has passed since {utc_text(last.at)} it is "
            f"{utc_text(last.at + passed)}: somebody set it forward"
        )
    if now.at - last.at <= _LONGEST_OFF:
        return ""
    return (
        f"the clock says {utc_text(now.at)}, and {utc_text(last.at)} when this deployment was last opened; the machine "
        "was restarted since, and nothing confirms that so much time has passed"
    )


def is_synchronised() -> bool:
    """Whether the kernel reports that NTP disciplines its clock (adjtimex)."""
    record = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(record)
    except (OSError, AttributeError):
        return False
    status = int.from_bytes(record.raw[_STATUS_AT : _STATUS_AT + 4], "little")
    return state not in (-1, _TIME_ERROR) and not status & _STA_UNSYNC


def clock_path(audit: Path) -> Path:
    """Where the last reading is, beside the audit log."""
    return audit.with_name(f".{audit.name}.clock")


class ClockTrust:
    """Whether the clocks can be trusted, judged by their readings when the deployment was last opened."""

    def __init__(self, audit: Path, clocks: ClockReading | None) -> None:
        """``audit`` is the log beside which readings are stored; None for ``clocks`` turns the check off."""
        self._audit = audit
        self._path = clock_path(audit)
        self._clocks = clocks

    def of_run(self, now: datetime) -> ClockTrust:
        """The same of ``now``, by which a run goes: the system's clock may have been set since it was read."""
        if self._clocks is None:
            return self
        return ClockTrust(self._audit, replace(read_clocks(), at=now))

    @cached_property
    def doubt(self) -> str:
        """Why the clock cannot be trusted; "" where it can, or is not checked."""
        if self._clocks is None:
            return ""
        return doubt_about(self._clocks, read_last(self._path), is_synchronised=is_synchronised())

    def require(self) -> None:
        """Raise ``AuditError`` where the clock is not to be believed: by it keys would be destroyed."""
        if self.doubt:
            raise AuditError(
                f"{self.doubt}. Nothing is recorded or erased: set the clock right; where it is right, "
                "`pylfr sweep --confirm-clock NAME` says so in the record"
            )

    def remember(self) -> None:
        """Store the readings for the next start. Raises ``AuditError`` as ``require``, and ``OSError``."""
        self.require()
        if self._clocks is not None and os.access(self._path.parent, os.W_OK):
            write_last(self._path, self._clocks)

    def confirm(self) -> str:
        """Trust the clock from now on; returns what was in doubt."""
        doubt, self.doubt = self.doubt, ""
        return doubt


def read_last(path: Path) -> ClockReading | None:
    """The reading in ``path``; None where there is none that makes sense."""
    try:
        fields = parse_object(read_file(path, largest=_LARGEST_FILE), "at", "since_boot_s", "boot")
        since_boot_s = fields["since_boot_s"]
        if not isinstance(since_boot_s, int | float):
            return None
        return ClockReading(
            at=moment_of(fields["at"], "at"), since_boot_s=float(since_boot_s), boot=text_of(fields["boot"], "boot")
        )
    except (OSError, ValueError):
        return None


def write_last(path: Path, reading: ClockReading) -> None:
    """Remember a reading for the next time. Raises ``OSError`` where the folder cannot be written."""
    fields = {"at": utc_text(reading.at), "since_boot_s": reading.since_boot_s, "boot": reading.boot}
    write_whole(path, json.dumps(fields).encode())
