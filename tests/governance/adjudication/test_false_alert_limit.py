"""A stream of false alerts trips the ceiling when chance no longer explains it, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.errors import AuthorisationError
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.false_alert_limit import FalseAlertCeiling, NoCeiling, lower_bound
from pylfr.governance.audit.audit import open_audit
from tests.samples import sample_alert


@pytest.mark.parametrize(
    ("count", "trials", "bound"),
    [
        (0, 10, 0.0),
        (0, 0, 0.0),
        (1, 1, 0.05),
        (1, 1000, 5.129e-5),
        (10, 10, 0.7411),
        (5, 100, 0.01991),
        (3, 50, 0.01655),
    ],
)
def test_the_bound_is_clopper_and_pearsons(count: int, trials: int, bound: float) -> None:
    assert lower_bound(count, trials) == pytest.approx(bound, rel=2e-3)


def test_more_than_all_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to trials"):
        lower_bound(2, 1)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    yield opened
    opened.close()


def test_refuted_alerts_trip_the_ceiling_and_unlooked_at_ones_do_not(records: Records, tmp_path: Path) -> None:
    audit = open_audit(tmp_path / "audit.log")
    since = datetime.now(UTC) - timedelta(seconds=1)
    ceiling = FalseAlertCeiling(records, authorisation="feed", since=since, ceiling=0.001, every_s=0)
    for number in range(12):
        alert = replace(sample_alert(authorisation="feed"), id=f"a{number}.")
        records.add(audit.record(alert), min_adjudicators=1, retention=timedelta(hours=1), outcomes=timedelta(days=1))
    ceiling.require(1000)
    for number in range(12):
        records.adjudicate(f"a{number}.", by="Ann", verdict="different person", audit=audit)
        if number < 6:
            ceiling.require(3000)
            continue
        with pytest.raises(AuthorisationError, match="paused: 7 false alerts in 3000 faces"):
            ceiling.require(3000)
        break
    # 3 in 3,000 is the ceiling itself; chance gives 7 or more of 3,000 at that rate in 3.3 % of runs.
    later = FalseAlertCeiling(records, authorisation="feed", since=datetime.now(UTC), ceiling=0.001, every_s=0)
    later.require(1)
    NoCeiling().require(0)
    audit.close()
