"""An engine without a valid lease neither recognises nor records, however it was held up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pylfr.cluster.lease import Lease, LeasedAudit, LeasedAuthority
from pylfr.errors import AuthorisationError
from pylfr.governance.audit.audit import open_audit
from pylfr.governance.authorisation.authority import Rehearsal
from tests.samples import sample_alert

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def test_without_a_lease_nothing_is_authorised() -> None:
    clock = Clock()
    lease = Lease(clock_s=clock)
    authority = LeasedAuthority(Rehearsal(), lease)
    with pytest.raises(AuthorisationError, match="lease has ended"):
        authority.require(frozenset(), (NOW, NOW))
    lease.renew(asked_s=clock.s, lease_s=5)
    authority.require(frozenset(), (NOW, NOW))
    clock.s += 5
    with pytest.raises(AuthorisationError, match="lease has ended"):
        authority.require(frozenset(), (NOW, NOW))


def test_an_answer_that_is_read_late_gives_no_more_time_than_the_head_has_counted() -> None:
    clock = Clock()
    lease = Lease(clock_s=clock)
    asked_s = clock.s
    clock.s += 30  # frozen between the question and the answer
    lease.renew(asked_s=asked_s, lease_s=5)
    assert lease.left_s == 0


def test_a_lease_that_the_head_ends_is_over_at_once() -> None:
    clock = Clock()
    lease = Lease(clock_s=clock)
    lease.renew(asked_s=clock.s, lease_s=5)
    lease.renew(asked_s=clock.s, lease_s=0)
    assert lease.left_s == 0


def test_a_lease_that_has_ended_is_not_valid_again() -> None:
    clock = Clock()
    lease = Lease(clock_s=clock)
    assert lease.renew(asked_s=clock.s, lease_s=5)
    clock.s += 4.9
    asked_s = clock.s
    clock.s += 0.2
    assert not lease.renew(asked_s=asked_s, lease_s=5)
    assert lease.left_s == 0


def test_an_alert_that_was_decided_under_a_lease_and_comes_after_it_is_not_recorded(tmp_path: Path) -> None:
    clock = Clock()
    lease = Lease(clock_s=clock)
    log = open_audit(tmp_path / "engine.log")
    audit = LeasedAudit(log, lease)
    lease.renew(asked_s=clock.s, lease_s=5)
    audit.record(sample_alert())
    clock.s += 6
    with pytest.raises(AuthorisationError):
        audit.record(sample_alert())
    assert log.head.sequence == 1
    log.close()
