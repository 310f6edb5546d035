"""What is shown as retained is what the sweep erases, when it erases it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pylfr.deployment.config import Deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.retention import Retained, retained
from pylfr.governance.audit.audit import AuditLog
from tests.deployment.test_sweep import END, LATE, deployed, swept
from tests.governance.reviews import signed_log
from tests.governance.samples import NOON

DAY = timedelta(hours=24)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(signed_log(tmp_path, clock=lambda: NOON)) as opened:
        yield opened


def shown(deployment: Deployment, log: AuditLog, now: datetime) -> tuple[Retained, ...]:
    with Resources(deployment, now=now, audit=log) as resources:
        return retained(resources)


def over(deployment: Deployment, log: AuditLog, now: datetime) -> list[str]:
    return sorted(each.what for each in shown(deployment, log, now) if each.until is not None and each.until <= now)


def test_everything_is_shown_with_its_place_and_its_time(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    times = {(each.what, Path(each.place).name): each.until for each in shown(deployment, log, NOON)}
    assert times == {
        ("key", "square.key"): LATE,
        ("key", "evidence.key"): LATE,
        ("picture", "evidence"): NOON + DAY,
        ("picture", "open"): NOON + DAY,
        ("line", "alerts.jsonl"): NOON + DAY,
        ("name of who was matched", "records.sqlite"): NOON + DAY,
        ("who decided, and when", "records.sqlite"): NOON + 31 * DAY,
        ("what was decided, as a count", "records.sqlite"): None,
        ("audit log", "audit.log"): None,
        ("checkpoints", "elsewhere"): None,
        ("authorisation", "authorisation.json"): None,
    }


@pytest.mark.parametrize("later", [timedelta(0), DAY, 2 * DAY, 40 * DAY])
def test_what_is_over_is_what_the_sweep_erases_and_looking_erases_nothing(
    tmp_path: Path, log: AuditLog, later: timedelta
) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    said = over(deployment, log, NOON + later)
    assert over(deployment, log, NOON + later) == said
    gone = swept(deployment, log, NOON + later)
    assert said.count("picture") == gone.pictures
    assert said.count("line") == gone.lines
    assert said.count("name of who was matched") == gone.alerts
    assert said.count("who decided, and when") == gone.outcomes
    assert said.count("key") == len(gone.keys)
    assert over(deployment, log, NOON + later) == []


def test_where_an_urgent_authorisation_was_not_confirmed_all_that_can_go_is_over(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log)
    assert over(deployment, log, END - timedelta(seconds=1)) == []
    assert len(over(deployment, log, END)) == 7
