"""An alert that is in the log has its pictures, wherever the run is killed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from pylfr.governance.audit.audit import RehearsalAudit, open_audit
from pylfr.governance.keys.vault import VaultKey, make_vault_key, read_vault_key
from pylfr.governance.retention.sweeper import sweep
from pylfr.sinks.evidence import SealedEvidenceSink, open_sealed_evidence
from pylfr.sinks.prepared import PreparedAudit
from tests.kills import killed_before
from tests.samples import sample_alert

ALERT = replace(sample_alert(), id="5f0c")
RETENTION = timedelta(minutes=30)


@pytest.fixture
def key(tmp_path: Path) -> VaultKey:
    return make_vault_key(tmp_path / "evidence.key", expires_at=datetime.now(UTC) + timedelta(hours=1))


def opened(folder: Path) -> SealedEvidenceSink:
    """Its key is read in the process that uses it: it is not handed on to a child."""
    key = read_vault_key(folder.parent / "evidence.key", now=datetime.now(UTC))
    return open_sealed_evidence(folder / "evidence", key, retention=RETENTION)


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "evidence").glob("[!.]*"))


def record(folder: Path) -> None:
    """As the engine does."""
    sink = opened(folder)
    sink.send(PreparedAudit(open_audit(folder / "audit.log"), [sink.prepare]).record(ALERT))


@pytest.mark.usefixtures("key")
def test_an_alert_is_never_in_the_log_without_its_pictures(tmp_path: Path) -> None:
    states = []
    for step in count():
        folder = tmp_path / str(step)
        folder.mkdir()
        was_killed = killed_before(step, partial(record, folder))
        log = open_audit(folder / "audit.log")
        states.append((log.head.sequence, len(pictures(folder))))
        log.close()
        if not was_killed:
            break
    assert len(states) > 8, "too few steps were found to kill at"
    assert states == sorted(states)
    assert {found for logged, found in states if logged} == {3}
    assert (0, 3) in states, "pictures come first"


def test_pictures_without_an_alert_are_erased_with_their_retention(tmp_path: Path, key: VaultKey) -> None:
    sink = open_sealed_evidence(tmp_path / "evidence", key, retention=RETENTION)
    sink.prepare(ALERT)
    assert len(pictures(tmp_path)) == 3
    assert list(sweep(tmp_path / "evidence", now=datetime.now(UTC) + RETENTION - timedelta(minutes=1))) == []
    assert len(list(sweep(tmp_path / "evidence", now=datetime.now(UTC) + RETENTION))) == 3


def test_what_could_not_be_prepared_is_sealed_once_it_is_recorded(
    tmp_path: Path, key: VaultKey, caplog: pytest.LogCaptureFixture
) -> None:
    sink = SealedEvidenceSink(tmp_path / "evidence", key, RETENTION)
    audit = PreparedAudit(RehearsalAudit(), [sink.prepare])
    recorded = audit.record(ALERT)
    assert "could not be sealed" in caplog.text
    (tmp_path / "evidence").mkdir()
    sink.send(recorded)
    first = {name: (tmp_path / "evidence" / name).stat().st_ino for name in pictures(tmp_path)}
    assert len(first) == 3
    sink.send(recorded)
    assert {name: (tmp_path / "evidence" / name).stat().st_ino for name in pictures(tmp_path)} == first
