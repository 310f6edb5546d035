"""The journal has every alert on disk before anybody sees it, and no face."""

from __future__ import annotations

import json
import re
import resource
from pathlib import Path

import pytest

from pylfr.errors import AuditError
from pylfr.governance.audit import RehearsalAudit, open_journal
from tests.samples import sample_alert


def test_a_recorded_alert_stands_on_disk(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "audit.jsonl")
    recorded = journal.record(sample_alert(entry="Ada"))
    [line] = (tmp_path / "audit.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (recorded.sequence, entry["sequence"], entry["entry"]) == (1, 1, "Ada")
    assert len(entry["crop_sha256"]) == 64
    assert not any(isinstance(value, list) for value in entry.values())
    journal.close()
    journal.close()


def test_numbers_go_on_after_a_restart_and_a_line_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    journal = open_journal(path)
    journal.record(sample_alert())
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"sequence": 2, "rec')
    journal = open_journal(path)
    assert journal.record(sample_alert()).sequence == 2
    journal.close()
    assert [json.loads(line)["sequence"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_damaged_line_and_an_unwritable_place_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("not json\n")
    with pytest.raises(AuditError, match="line 1"):
        open_journal(path)
    with pytest.raises(AuditError, match="cannot be opened"):
        open_journal(tmp_path / "missing" / "audit.jsonl")


def test_a_full_disk_stops_recognition_and_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    journal = open_journal(path)
    journal.record(sample_alert())
    written = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(written) + 20, before[1]))
    try:
        with pytest.raises(AuditError, match="recognition stops"):
            journal.record(sample_alert())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == written
    assert journal.record(sample_alert()).sequence == 2
    journal.close()


def test_a_rehearsal_counts_and_keeps_nothing() -> None:
    audit = RehearsalAudit()
    assert [audit.record(sample_alert()).sequence for _ in range(3)] == [1, 2, 3]
    audit.close()


def test_only_the_audit_makes_recorded_values() -> None:
    package = Path(__file__).parents[2] / "pylfr"
    makers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"\bRecorded\(", path.read_text()) and path.name != "types.py"
    }
    assert makers == {"governance/audit.py"}
