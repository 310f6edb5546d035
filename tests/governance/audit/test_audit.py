"""The log has every alert on disk before anybody sees it, no face and no name, and goes on where it ended."""

from __future__ import annotations

import os
import re
import resource
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import AuditError
from pylfr.governance.audit.audit import AuditLog, RehearsalAudit, open_audit
from pylfr.governance.audit.chain import parse_entry, verify
from pylfr.governance.keys.keys import make_key, read_signing_key
from pylfr.types import Event
from tests.governance.samples import NOON
from tests.samples import sample_alert

TICK = Event(kind="tick", details={"number": 1})


def entries(path: Path) -> list[str]:
    return [parse_entry(line).kind for line in path.read_bytes().splitlines()]


def signed_log(folder: Path) -> AuditLog:
    key = folder / "record.key"
    if not key.exists():
        make_key(key)
    return open_audit(folder / "audit.log", key=read_signing_key(key), checkpoints=folder / "elsewhere")


def test_a_recorded_alert_stands_on_disk_without_a_name_or_a_face(tmp_path: Path) -> None:
    log = signed_log(tmp_path)
    crop = np.arange(64 * 64 * 3, dtype=np.uint64).astype(np.uint8).reshape(64, 64, 3)
    recorded = log.record(sample_alert(entry="Ada Lovelace", crop=crop))
    [line] = (tmp_path / "audit.log").read_bytes().splitlines()
    entry = parse_entry(line)
    assert (recorded.sequence, entry.sequence, entry.kind) == (1, 1, "alert")
    assert entry.details["crop_digest"] == log.keyed_digest(crop.tobytes())
    assert b"Ada" not in line
    assert not any(isinstance(value, list | dict) for value in entry.details.values())
    log.close()
    log.close()
    with pytest.raises(AuditError, match="closed"):
        log.note(TICK)


def test_digests_mean_nothing_without_the_key_and_the_same_with_it(tmp_path: Path) -> None:
    one, again = signed_log(tmp_path), signed_log(tmp_path)
    assert one.keyed_digest(b"Ada") == again.keyed_digest(b"Ada")
    unsigned = open_audit(tmp_path / "plain.log")
    assert unsigned.keyed_digest(b"Ada") != one.keyed_digest(b"Ada")
    for log in (one, again, unsigned):
        log.close()


def test_numbers_go_on_after_a_restart_and_a_line_cut_by_a_crash_is_dropped(tmp_path: Path) -> None:
    log = signed_log(tmp_path)
    log.record(sample_alert())
    log.close()
    for name in ("audit.log", "elsewhere"):
        with (tmp_path / name).open("ab") as file:
            file.write(b'{"sequence": 2, "rec')
    log = signed_log(tmp_path)
    assert log.record(sample_alert()).sequence == 2
    log.close()
    key = read_signing_key(tmp_path / "record.key").public
    assert not list(verify((tmp_path / "audit.log").read_bytes(), (tmp_path / "elsewhere").read_bytes(), key))


def test_what_did_not_reach_the_disk_is_not_acknowledged_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = signed_log(tmp_path)
    log.record(sample_alert())
    written = (tmp_path / "audit.log").read_bytes()

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(AuditError, match="recognition stops"):
            log.record(sample_alert())
    assert (tmp_path / "audit.log").read_bytes() == written
    log.close()


def test_a_checkpoint_that_another_writer_left_half_written_is_dropped_by_the_next(tmp_path: Path) -> None:
    log = signed_log(tmp_path)
    log.note(TICK)
    with (tmp_path / "elsewhere").open("ab") as file:
        file.write(b'{"digest":"77')
    log.note(TICK)
    log.close()
    key = read_signing_key(tmp_path / "record.key").public
    assert not list(verify((tmp_path / "audit.log").read_bytes(), (tmp_path / "elsewhere").read_bytes(), key))


def test_two_writers_make_one_chain(tmp_path: Path) -> None:
    one, other = signed_log(tmp_path), signed_log(tmp_path)
    for log in (one, other, other, one):
        log.note(TICK)
    one.close()
    other.close()
    assert not list(verify((tmp_path / "audit.log").read_bytes(), None, None))
    assert len(entries(tmp_path / "audit.log")) == 4


def test_a_clock_that_ran_backwards_is_refused(tmp_path: Path) -> None:
    log = open_audit(tmp_path / "audit.log", clock=lambda: NOON)
    log.note(TICK)
    log.close()
    open_audit(tmp_path / "audit.log", clock=lambda: NOON - timedelta(seconds=1)).close()
    with pytest.raises(AuditError, match=r"clock says 2026-01-11T11:59:50.000Z.*ran backwards"):
        open_audit(tmp_path / "audit.log", clock=lambda: NOON - timedelta(seconds=10))


def test_a_damaged_line_a_cut_log_and_an_unwritable_place_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text("not json\n")
    with pytest.raises(AuditError, match="line 1"):
        open_audit(path)
    with pytest.raises(AuditError, match="cannot be opened"):
        open_audit(tmp_path / "missing" / "audit.log")
    path.unlink()
    log = open_audit(path)
    log.note(TICK)
    os.truncate(path, 0)
    with pytest.raises(AuditError, match="was cut while it was in use"):
        log.note(TICK)
    log.close()


def test_a_full_disk_stops_recognition_and_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = open_audit(path)
    log.record(sample_alert())
    written = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(written) + 20, before[1]))
    try:
        with pytest.raises(AuditError, match="recognition stops"):
            log.record(sample_alert())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == written
    assert log.record(sample_alert()).sequence == 2
    log.close()


def test_a_rehearsal_counts_and_keeps_nothing() -> None:
    audit = RehearsalAudit()
    assert [audit.record(sample_alert()).sequence for _ in range(3)] == [1, 2, 3]
    audit.note(TICK)
    audit.close()


def test_only_the_audit_makes_recorded_values() -> None:
    package = Path(__file__).parents[3] / "pylfr"
    makers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"\bRecorded\(", path.read_text()) and path.name != "types.py"
    }
    assert makers == {"governance/audit/audit.py"}
