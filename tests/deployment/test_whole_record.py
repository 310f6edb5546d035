"""A start compares log, checkpoints and records, and refuses a log that is shorter than any of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pylfr.deployment.config import read_deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.whole_record import require_whole_record
from pylfr.errors import AuditError
from pylfr.types import Event
from tests.deployment_text import SIGNED_DEPLOYMENT
from tests.governance.reviews import deploy, queue, signed_log
from tests.governance.samples import NOON


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A deployment with two alerts, one of them decided on."""
    signed_log(tmp_path).close()
    (tmp_path / "deployment.toml").write_text(SIGNED_DEPLOYMENT)
    with started(tmp_path) as resources:
        records, audit = resources.require_records(), resources.audit
        deploy(records, audit)
        queue(records, audit, id_="a1")
        queue(records, audit, id_="a2")
        resources.review.adjudicate("a1", by="Ann", verdict="different person")
        audit.note(Event(kind="tick", details={}))
    return tmp_path


@contextmanager
def started(folder: Path) -> Iterator[Resources]:
    with Resources(read_deployment(folder / "deployment.toml"), now=NOON) as resources:
        yield resources


def cut(folder: Path, name: str, lines: int) -> None:
    path = folder / name
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))


def test_a_whole_record_starts_and_is_remembered(folder: Path) -> None:
    with started(folder) as resources:
        require_whole_record(resources)
        assert resources.require_records().stored().head == resources.audit.head


def test_a_log_that_was_cut_with_its_checkpoints_does_not_start_against_the_records(folder: Path) -> None:
    for name in ("audit.log", "elsewhere"):
        cut(folder, name, 2)
    with started(folder) as resources, pytest.raises(AuditError, match="is shorter than the records know: log_heads"):
        require_whole_record(resources)
    for name in ("audit.log", "elsewhere"):
        (folder / name).unlink()
    with started(folder) as resources, pytest.raises(AuditError, match="is shorter than the records know"):
        require_whole_record(resources)


def test_a_log_that_is_shorter_than_its_checkpoints_does_not_start(folder: Path) -> None:
    cut(folder, "audit.log", 4)
    with started(folder) as resources, pytest.raises(AuditError, match="ends at entry 4, entry 5 had been signed"):
        require_whole_record(resources)


def test_rows_that_were_edited_are_an_incident_and_do_not_stop_the_rest(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "records.sqlite")) as connection, connection:
        connection.execute("UPDATE adjudications SET verdict = 'same person'")
    with started(folder) as resources:
        require_whole_record(resources)
        [incident] = resources.audit.entries("records-differ")
    assert incident.details["rows"] == "adjudications, alert of entry 2"
