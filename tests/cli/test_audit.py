"""``pylfr audit``: offline, with nothing but the files; a log that was touched is refused with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.governance.audit.audit import open_audit
from pylfr.governance.keys.keys import make_key, read_signing_key
from tests.cli.command import pylfr
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
