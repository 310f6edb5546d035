"""The log has every alert on disk before anybody sees it, no face and no name, and goes on where it ended."""

from __future__ import annotations

import os
import re
import resource
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import AuditError
from pylfr.governance.audit.audit import SET_ASIDE, AuditLog, RehearsalAudit, open_audit, read_audit
from pylfr.governance.audit.chain import GENESIS, LogEntry, parse_entry, read_log
from pylfr.governance.audit.log_files import LogHead
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
    assert not list(read_log((tmp_path / "audit.log").read_bytes(), (tmp_path / "elsewhere").read_bytes(), key).flaws)


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
    assert not list(read_log((tmp_path / "audit.log").read_bytes(), (tmp_path / "elsewhere").read_bytes(), key).flaws)


def forge(folder: Path, *, count: int = 1, kind: str = "tick") -> None:
    """Append correctly chained entries as somebody can who has not the record's key."""
    for _ in range(count):
        lines = (folder / "audit.log").read_bytes().splitlines()
        last = parse_entry(lines[-1])
        forged = LogEntry(sequence=last.sequence + 1, at=last.at, kind=kind, details={"entry": 1}, previous=last.digest)
        with (folder / "audit.log").open("ab") as file:
            file.write(forged.line())


def test_a_forged_entry_is_not_believed_and_the_next_checkpoint_does_not_bless_it(tmp_path: Path) -> None:
    log = signed_log(tmp_path)
    log.note(TICK)
    forge(tmp_path, kind="withdrawn")
    assert list(log.entries("withdrawn")) == []
    assert log.head.sequence == 1
    log.note(TICK)
    assert [entry.kind for entry in log.entries()] == ["tick", SET_ASIDE, "tick"]
    [aside] = log.entries(SET_ASIDE)
    assert '"kind":"withdrawn"' in str(aside.details["line"])
    log.close()
    key = read_signing_key(tmp_path / "record.key").public
    assert read_audit(tmp_path / "audit.log", checkpoints=tmp_path / "elsewhere", key=key).flaws == ()


def test_two_forged_entries_or_checkpoints_that_were_cut_refuse_to_open(tmp_path: Path) -> None:
    log = signed_log(tmp_path)
    for _ in range(3):
        log.note(TICK)
    forge(tmp_path, count=2)
    with pytest.raises(AuditError, match="entries 4 to 5 have no checkpoint"):
        log.note(TICK)
    log.close()
    with pytest.raises(AuditError, match="entries 4 to 5 have no checkpoint"):
        signed_log(tmp_path)
    (tmp_path / "elsewhere").write_bytes(b"")
    with pytest.raises(AuditError, match="entries 1 to 5 have no checkpoint"):
        signed_log(tmp_path)


def test_a_log_that_is_shorter_than_its_checkpoints_or_was_changed_refuses_to_open(tmp_path: Path) -> None:
    log = signed_log(tmp_path)
    for number in range(3):
        log.note(Event(kind="tick", details={"number": number}))
    log.close()
    path, whole = tmp_path / "audit.log", (tmp_path / "audit.log").read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    with pytest.raises(AuditError, match="ends at entry 2, entry 3 had been signed: it was cut off"):
        signed_log(tmp_path)
    path.unlink()
    with pytest.raises(AuditError, match="ends at entry 0, entry 1 had been signed"):
        signed_log(tmp_path)
    other = parse_entry(whole.splitlines()[0])
    path.write_bytes(replace(other, details={"number": 9}).line())
    (tmp_path / "elsewhere").write_bytes((tmp_path / "elsewhere").read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(AuditError, match="entry 1 is not the one that was signed"):
        signed_log(tmp_path)


def test_a_checkpoint_under_another_key_refuses_to_open(tmp_path: Path) -> None:
    log = signed_log(tmp_path)
    log.note(TICK)
    log.close()
    make_key(tmp_path / "other.key")
    with pytest.raises(AuditError, match="was not signed with the record's key"):
        open_audit(
            tmp_path / "audit.log", key=read_signing_key(tmp_path / "other.key"), checkpoints=tmp_path / "elsewhere"
        )


def test_a_log_knows_whether_it_still_has_what_it_had(tmp_path: Path) -> None:
    log = signed_log(tmp_path)
    assert log.head == LogHead(sequence=0, digest=GENESIS)
    log.note(TICK)
    before = log.head
    log.note(TICK)
    assert log.holds(before)
    assert log.holds(log.head)
    assert not log.holds(LogHead(sequence=1, digest=log.head.digest))
    assert not log.holds(LogHead(sequence=3, digest=log.head.digest))
    assert not log.are_checkpoints_apart
    log.close()


def test_whoever_follows_a_log_reads_only_what_was_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = signed_log(tmp_path)
    for number in range(1, 6):
        log.note(Event(kind="odd" if number % 2 else "even", details={"number": number}))
    read: list[int] = []

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        content = real(descriptor, length, offset)
        read.append(len(content))
        return content

    real = os.pread
    monkeypatch.setattr(os, "pread", counted)
    assert [entry.sequence for entry in log.entries(after=3)] == [4, 5]
    assert [entry.sequence for entry in log.entries("odd", after=1)] == [3, 5]
    assert [entry.sequence for entry in log.entries("even")] == [2, 4]
    read.clear()
    assert list(log.entries(after=5)) == list(log.entries(after=99)) == []
    assert sum(read) == 0
    log.close()


def test_threads_that_share_a_log_make_one_chain(tmp_path: Path) -> None:
    log = signed_log(tmp_path)

    def write() -> None:
        for _ in range(20):
            log.note(TICK)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    key = read_signing_key(tmp_path / "record.key").public
    read = read_audit(tmp_path / "audit.log", checkpoints=tmp_path / "elsewhere", key=key)
    assert (len(read.entries), read.flaws) == (80, ())


def test_two_writers_make_one_chain(tmp_path: Path) -> None:
    one, other = signed_log(tmp_path), signed_log(tmp_path)
    for log in (one, other, other, one):
        log.note(TICK)
    one.close()
    other.close()
    assert not list(read_log((tmp_path / "audit.log").read_bytes()).flaws)
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
    with pytest.raises(AuditError, match="was cut while in use"):
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
