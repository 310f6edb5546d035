"""A clock that was set forward erases nothing: what passed since, the kernel, or a person has to confirm it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr._internal.steady_clock import STEADY, system_now
from pylfr.deployment.clock import (
    ClockReading,
    clock_path,
    doubt_about,
    is_synchronised,
    read_clocks,
    read_last,
    write_last,
)
from pylfr.deployment.resources import Resources
from pylfr.deployment.sweep import forget_expired
from pylfr.errors import AuditError
from pylfr.governance.audit.audit import open_audit, read_audit
from pylfr.governance.keys.keys import make_key, read_signing_key
from tests.deployment.test_sweep import deployed, left
from tests.governance.reviews import signed_log
from tests.governance.samples import NOON

HOUR = timedelta(hours=1)


def reading(after: timedelta, *, passed: timedelta | None = None, boot: str = "one") -> ClockReading:
    """The clocks at ``after`` noon, when so much has passed on the one that nobody sets."""
    return ClockReading(
        at=NOON + after, since_boot_s=1000 + (after if passed is None else passed).total_seconds(), boot=boot
    )


@pytest.mark.parametrize(
    ("now", "is_synchronised", "doubt"),
    [
        (reading(27 * HOUR), False, ""),
        (reading(27 * HOUR, passed=HOUR), False, "by what has passed since 2026-01-11T12:00:00"),
        (reading(27 * HOUR, passed=HOUR), True, ""),
        (reading(timedelta(seconds=50), passed=timedelta(0)), False, ""),
        (reading(-HOUR, passed=HOUR), False, ""),
        (reading(23 * HOUR, boot="two"), False, ""),
        (reading(27 * HOUR, boot="two"), False, "the machine was restarted since"),
        (reading(27 * HOUR, boot=""), False, "the machine was restarted since"),
        (reading(27 * HOUR, boot="two"), True, ""),
    ],
)
def test_a_jump_is_believed_where_something_else_says_so(now: ClockReading, is_synchronised: bool, doubt: str) -> None:
    found = doubt_about(now, reading(timedelta(0)), is_synchronised=is_synchronised)
    assert doubt in found
    assert bool(found) == bool(doubt)
    assert doubt_about(now, None, is_synchronised=False) == ""


def test_a_clock_27_hours_ahead_destroys_no_key_until_a_person_says_that_it_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylfr.deployment.clock.is_synchronised", lambda: False)
    make_key(tmp_path / "record.key")
    key = read_signing_key(tmp_path / "record.key")
    log = open_audit(tmp_path / "audit.log", key=key, checkpoints=tmp_path / "elsewhere", clock=lambda: NOON)
    deployment = deployed(tmp_path, log, urgent=False)
    log.close()
    write_last(clock_path(tmp_path / "audit.log"), reading(timedelta(0)))
    ahead = reading(timedelta(days=3), passed=HOUR)
    kept = left(tmp_path) | {"record.key"}

    with (
        Resources(deployment, now=ahead.at, clocks=ahead) as resources,
        pytest.raises(AuditError, match=r"somebody set it forward\. Nothing is recorded or erased"),
    ):
        forget_expired(resources)
    with Resources(deployment, now=ahead.at, clocks=ahead) as resources, pytest.raises(AuditError, match="set it fo"):
        assert resources.watchlist_key
    assert left(tmp_path) | {"record.key"} == kept
    assert len(read_audit(tmp_path / "audit.log").entries) == 1, "no entry of a wrong time keeps the log from opening"

    # The clock is set right again, and nothing has to wait for real time to catch up.
    right = reading(HOUR)
    with Resources(deployment, now=right.at, clocks=right) as resources:
        forget_expired(resources)
    assert left(tmp_path) | {"record.key"} == kept

    with Resources(deployment, now=ahead.at, clocks=ahead) as resources:
        resources.confirm_clock(by="Ann Example")
        assert set(forget_expired(resources).keys) == {"square.key", "evidence.key"}
    [confirmed] = [each for each in read_audit(tmp_path / "audit.log").entries if each.kind == "clock-confirmed"]
    assert confirmed.details["by"] == "Ann Example"
    assert "somebody set it forward" in str(confirmed.details["doubt"])


def test_a_clock_that_is_set_forward_between_the_look_and_the_start_of_a_run_dates_no_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylfr.deployment.clock.is_synchronised", lambda: False)
    log = signed_log(tmp_path)
    deployment = deployed(tmp_path, log, urgent=False)
    log.close()
    before = (tmp_path / "audit.log").read_bytes()
    write_last(clock_path(tmp_path / "audit.log"), read_clocks())
    looked = read_clocks()
    with Resources(deployment, now=looked.at, clocks=looked) as resources:
        with monkeypatch.context() as set_forward:
            set_forward.setattr(STEADY, "_system", lambda: system_now() + 2 * HOUR)
            resources.begin_run()
        with pytest.raises(AuditError, match=r"somebody set it forward\. Nothing is recorded or erased"):
            resources.audit.close()
    with STEADY.held():
        assert abs(STEADY.step_s()) < 60, "the next test has the clock as it was"
    assert (tmp_path / "audit.log").read_bytes() == before


def test_a_reading_is_remembered_and_one_that_makes_no_sense_is_none(tmp_path: Path) -> None:
    path = clock_path(tmp_path / "audit.log")
    assert read_last(path) is None
    now = read_clocks()
    write_last(path, now)
    last = read_last(path)
    assert last is not None
    assert abs(last.at - now.at) < timedelta(milliseconds=1)
    assert (last.since_boot_s, last.boot) == (now.since_boot_s, now.boot)
    for damaged in ("", "[]", json.dumps({"at": "yesterday", "since_boot_s": 1, "boot": ""})):
        path.write_text(damaged)
        assert read_last(path) is None
    assert isinstance(is_synchronised(), bool)
    assert datetime.now(UTC) - now.at < HOUR
