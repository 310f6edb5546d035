"""``pylfr audit``: offline, with nothing but the files; a log that was touched is refused with the place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pylfr.governance.adjudication.database import open_records
from pylfr.governance.adjudication.review import Review
from pylfr.governance.audit.audit import open_audit
from pylfr.governance.audit.chain import LogEntry, parse_entry
from pylfr.governance.keys.keys import make_key, read_signing_key
from tests.cli.command import pylfr
from tests.governance.reviews import deploy, queue, signed_log
from tests.samples import sample_alert


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_key(tmp_path / "record.key")
    log = open_audit(
        tmp_path / "audit.log", key=read_signing_key(tmp_path / "record.key"), checkpoints=tmp_path / "elsewhere"
    )
    for _ in range(3):
        log.record(sample_alert(entry="Ada Lovelace"))
    log.close()
    return tmp_path


def test_a_whole_record_is_shown_exported_and_verified_elsewhere(folder: Path) -> None:
    log, checkpoints, key = folder / "audit.log", folder / "elsewhere", folder / "record.pub"
    done = pylfr("audit", "export", log, "--checkpoints", checkpoints, "--key", key, "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    out = folder / "out"
    done = pylfr(
        "audit", "verify", out / "audit.log", "--checkpoints", out / "audit.checkpoints", "--key", out / "record.pub"
    )
    assert (done.returncode, "3 entries, whole and in order, as signed" in done.stdout) == (0, True), done.stderr
    shown = pylfr("audit", "show", log, "--kind", "alert")
    assert shown.stdout.count("camera north") == 3
    assert "Ada" not in shown.stdout


def test_a_cut_tail_is_found_with_the_checkpoints_and_a_notice_says_when_they_are_missing(folder: Path) -> None:
    log = folder / "audit.log"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    done = pylfr("audit", "verify", log, "--checkpoints", folder / "elsewhere", "--key", folder / "record.pub")
    assert (done.returncode, "entries 3 to 3 were cut off" in done.stderr) == (1, True)
    done = pylfr("audit", "verify", log)
    assert (done.returncode, "are not noticed" in done.stderr) == (0, True)
    done = pylfr("audit", "verify", log, "--key", folder / "record.pub")
    assert (done.returncode, "give both, or neither" in done.stderr) == (1, True)


def test_an_entry_that_somebody_appended_is_not_counted_as_signed(folder: Path) -> None:
    log = folder / "audit.log"
    last = parse_entry(log.read_bytes().splitlines()[-1])
    forged = LogEntry(sequence=4, at=last.at, kind="withdrawn", details={"entry": 1}, previous=last.digest)
    log.write_bytes(log.read_bytes() + forged.line())
    arguments = ("audit", "verify", log, "--checkpoints", folder / "elsewhere", "--key", folder / "record.pub")
    done = pylfr(*arguments)
    assert (done.returncode, "3 entries, whole and in order, as signed" in done.stdout) == (0, True)
    assert "entry 4 (withdrawn) has no checkpoint" in done.stderr
    (folder / "elsewhere").write_bytes(b"")
    done = pylfr(*arguments)
    assert (done.returncode, "there is no valid checkpoint: nothing in this log is vouched for" in done.stderr) == (
        1,
        True,
    )


def test_a_digest_that_was_noted_must_be_in_the_log(folder: Path) -> None:
    log, checkpoints = folder / "audit.log", folder / "elsewhere"
    last = parse_entry(log.read_bytes().splitlines()[-1]).digest
    arguments = ("audit", "verify", log, "--checkpoints", checkpoints, "--key", folder / "record.pub", "--expect", last)
    assert pylfr(*arguments).returncode == 0
    for path in (log, checkpoints):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    assert pylfr(*arguments[:-2]).returncode == 0
    done = pylfr(*arguments)
    assert (done.returncode, f"has no entry with the digest {last}" in done.stderr) == (1, True)


def test_records_that_were_edited_behind_the_engine_are_named_row_by_row(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    with closing(signed_log(tmp_path)) as audit, closing(open_records(url)) as records:
        deploy(records, audit)
        queue(records, audit)
        review = Review(records, audit)
        review.adjudicate("a1", by="Ann", verdict="same person")
        review.adjudicate("a1", by="Bob", verdict="different person")
    arguments = (
        "audit", "verify", tmp_path / "audit.log", "--checkpoints", tmp_path / "elsewhere",
        "--key", tmp_path / "record.pub", "--records", tmp_path / "records.sqlite",
    )  # fmt: skip
    done = pylfr(*arguments)
    assert (done.returncode, "1 alerts, as the log has them" in done.stdout) == (0, True), done.stderr
    with closing(sqlite3.connect(tmp_path / "records.sqlite")) as connection, connection:
        connection.execute("UPDATE adjudications SET verdict = 'same person'")
    done = pylfr(*arguments)
    assert done.returncode == 1
    assert "adjudications, a1, verdict 2: 'same person', in the log 'different person'" in done.stderr
    done = pylfr(*arguments[:-1], tmp_path / "none.sqlite")
    assert (done.returncode, "no such file" in done.stderr) == (1, True)
