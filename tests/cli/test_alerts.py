"""``pylfr alerts``: people decide on what the signed log says; records that differ are named, and put back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pylfr.deployment.config import read_deployment
from pylfr.deployment.resources import Resources
from tests.cli.command import pylfr
from tests.deployment_text import SIGNED_DEPLOYMENT
from tests.governance.reviews import deploy, queue, signed_log
from tests.governance.samples import NOON

BOTH = (("Ann", "same"), ("Bob", "different"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A deployment with an alert that one person has confirmed and another refuted."""
    signed_log(tmp_path).close()
    path = tmp_path / "deployment.toml"
    path.write_text(SIGNED_DEPLOYMENT)
    with Resources(read_deployment(path), now=NOON) as resources:
        deploy(resources.require_records(), resources.audit)
        queue(resources.require_records(), resources.audit)
    for name, verdict in BOTH:
        done = pylfr("alerts", "adjudicate", path, "a1", "--by", name, "--verdict", verdict)
        assert done.returncode == 0, done.stderr
    return path


def test_a_refuted_alert_stays_refuted_whatever_is_written_into_the_records(path: Path) -> None:
    with closing(sqlite3.connect(path.parent / "records.sqlite")) as connection, connection:
        connection.execute("UPDATE adjudications SET verdict = 'same person'")
    listed = pylfr("alerts", "list", path)
    assert "refuted" in listed.stdout
    assert "nothing is decided: row adjudications, a1, verdict 2" in listed.stderr
    assert "different person" not in listed.stderr
    engaged = pylfr("alerts", "engage", path, "a1", "--by", "Cem", "--decision", "engage")
    assert (engaged.returncode, "adjudications, a1, verdict 2" in engaged.stderr) == (1, True)
    restored = pylfr("alerts", "restore", path, "--by", "Op Example")
    assert restored.returncode == 0, restored.stderr
    assert "verdict 2: 'same person', in the log 'different person'" in restored.stdout
    assert pylfr("alerts", "list", path).stderr == ""
    engaged = pylfr("alerts", "engage", path, "a1", "--by", "Cem", "--decision", "engage")
    assert "alert a1 is refuted" in engaged.stderr


def test_a_mistake_is_amended_with_its_reason_and_an_outcome_needs_no_engagement(path: Path) -> None:
    done = pylfr("alerts", "outcome", path, "a1", "--by", "Cem", "--finding", "false")
    assert done.returncode == 0, done.stderr
    why = "arrested elsewhere an hour later"
    done = pylfr("alerts", "amend", path, "a1", "--by", "Cem", "--finding", "true", "--reason", why)
    assert (done.returncode, "the alert is closed" in done.stdout) == (0, True), done.stderr
    done = pylfr("alerts", "amend", path, "a1", "--by", "Bob", "--verdict", "same", "--reason", "the other picture")
    assert done.returncode == 0, done.stderr
    shown = pylfr("alerts", "show", path, "a1").stdout
    assert f"Cem: true alert ({why})" in shown
    assert "Bob: same person (the other picture)" in shown
    kinds = pylfr("audit", "show", path.parent / "audit.log").stdout
    assert kinds.count("adjudication") == 2
    assert kinds.count("amended") == 2
    done = pylfr("alerts", "amend", path, "a1", "--by", "Bob", "--reason", "x")
    assert (done.returncode, "give either --verdict or --finding" in done.stderr) == (2, True)


def test_a_picture_goes_to_no_terminal_and_into_no_file(path: Path) -> None:
    assert "--out" not in pylfr("alerts", "picture", "--help").stdout
    done = pylfr("alerts", "picture", path, "a1")
    assert (done.returncode, "there is no sealed picture of alert a1" in done.stderr) == (1, True)


def test_what_is_retained_is_shown_and_a_dry_run_erases_nothing(path: Path) -> None:
    shown = pylfr("retention", "show", path)
    assert shown.returncode == 0, shown.stderr
    for what in ("name of who was matched", "who decided, and when", "audit log", "stays"):
        assert what in shown.stdout
    done = pylfr("sweep", path, "--dry-run")
    assert (done.returncode, "nothing is over" in done.stdout) == (0, True), done.stderr
