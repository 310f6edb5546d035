from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.errors import AuditError
from pylfr.governance.audit.audit import AuditLog, open_audit
from pylfr.governance.audit.follower import LogFollower
from pylfr.types import Event


def note(log: AuditLog, *kinds: str) -> None:
    for kind in kinds:
        log.note(Event(kind=kind, details={}))


def test_each_entry_is_given_once_as_the_log_grows(tmp_path: Path) -> None:
    log = open_audit(tmp_path / "audit.log")
    follower = LogFollower(log, "tick", "tock")
    assert list(follower.new_entries()) == []
    note(log, "tick", "other", "tock", "other")
    assert [(entry.sequence, entry.kind) for entry in follower.new_entries()] == [(1, "tick"), (3, "tock")]
    assert follower.seen == 4, "the last entry is of another kind: it is not read again"
    assert list(follower.new_entries()) == []
    note(log, "tock")
    assert [entry.sequence for entry in follower.new_entries()] == [5]
    log.close()


def test_what_was_taken_before_a_failure_is_not_given_again(tmp_path: Path) -> None:
    log = open_audit(tmp_path / "audit.log")
    follower = LogFollower(log, "tick")
    note(log, "tick", "tick")
    assert next(follower.new_entries()).sequence == 1
    assert [entry.sequence for entry in follower.new_entries()] == [2]
    log.close()
    with pytest.raises(AuditError, match="closed"):
        list(follower.new_entries())


def test_an_entry_that_is_written_while_others_are_read_is_not_lost(tmp_path: Path) -> None:
    log = open_audit(tmp_path / "audit.log")
    follower = LogFollower(log, "tick")
    note(log, "tick")
    given = []
    for entry in follower.new_entries():
        given.append(entry.sequence)
        if entry.sequence == 1:
            note(log, "tick")
    given += [entry.sequence for entry in follower.new_entries()]
    assert given == [1, 2]
    log.close()
