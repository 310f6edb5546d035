"""``pylfr records``: what was backed up comes back, sealed in between; tables change by command alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from pylfr.governance.adjudication.database import open_records
from pylfr.governance.adjudication.schema_version import newest_version, upgrade
from pylfr.governance.audit.audit import open_audit
from pylfr.governance.keys.keys import make_key, read_signing_key
from tests.cli.command import pylfr
from tests.deployment_text import RECORDS, SHIPPED, SIGNED_LOG, deployment_text, permit_text
from tests.governance.reviews import enter
from tests.samples import sample_alert

NAME = "Ada Lovelace"


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    """A deployment whose record has one alert."""
    make_key(tmp_path / "record.key")
    path = tmp_path / "deployment.toml"
    path.write_text(deployment_text(permit_text(), SIGNED_LOG, RECORDS, networks=SHIPPED))
    return path


def record_one(folder: Path) -> None:
    key = read_signing_key(folder / "record.key")
    with (
        closing(open_audit(folder / "audit.log", key=key, checkpoints=folder / "elsewhere")) as audit,
        closing(open_records(f"sqlite:///{folder / 'records.sqlite'}")) as records,
    ):
        recorded = audit.record(replace(sample_alert(entry=NAME), captured_at=datetime.now(UTC)))
        enter(records, recorded)


def rows(folder: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "records.sqlite")) as connection:
        return connection.execute("SELECT * FROM alerts").fetchall()


def test_records_come_back_from_a_sealed_backup(deployment: Path) -> None:
    folder = deployment.parent
    record_one(folder)
    before = rows(folder)
    words = ("--key", folder / "backup.key")
    done = pylfr("records", "backup", deployment, folder / "backup", *words)
    assert done.returncode == 0, done.stderr
    assert NAME.encode() not in (folder / "backup").read_bytes()
    refused = pylfr("records", "restore", deployment, folder / "backup", *words)
    assert refused.returncode == 1
    assert "has tables already" in refused.stderr
    (folder / "records.sqlite").unlink()
    done = pylfr("records", "restore", deployment, folder / "backup", *words)
    assert done.returncode == 0, done.stderr
    assert "1 alerts are back; 0 of them were erased" in done.stdout
    assert rows(folder) == before


def test_tables_of_an_older_form_are_changed_by_command_after_a_backup(deployment: Path) -> None:
    folder = deployment.parent
    engine = sa.create_engine(f"sqlite:///{folder / 'records.sqlite'}")
    with engine.begin() as connection:
        upgrade(connection, "0002")
    engine.dispose()
    looked = pylfr("alerts", "list", deployment)
    assert looked.returncode == 1
    assert "have the form 0002" in looked.stderr
    done = pylfr("records", "upgrade", deployment, "--backup", folder / "before", "--key", folder / "before.key")
    assert done.returncode == 0, done.stderr
    assert f"had the form 0002 and have {newest_version()} now" in done.stdout
    assert (folder / "before").is_file()
    assert pylfr("alerts", "list", deployment).returncode == 0
