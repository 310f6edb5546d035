"""An alert is in the engine's log and with the head, or in neither, wherever the engine's process is killed."""

from __future__ import annotations

import errno
import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from pylfr.cluster.lease import Lease, LeasedAudit
from pylfr.cluster.outbox import Outbox
from pylfr.cluster.packed_alert import pack_alert, unpack_alert
from pylfr.cluster.record import ClusterRecord
from pylfr.errors import AuditError, AuthorisationError, SinkError
from pylfr.governance.audit.audit import AuditLog, RehearsalAudit, open_audit, read_audit
from pylfr.governance.keys.keys import make_key, read_signing_key
from pylfr.governance.keys.vault import VaultKey, make_vault_key, read_vault_key
from pylfr.protocols import Sink
from pylfr.sinks.evidence import open_sealed_evidence
from pylfr.sinks.prepared import PreparedAudit
from pylfr.types import Alert
from tests.kills import killed_before
from tests.samples import sample_alert

ALERT = replace(sample_alert(), id="5f0c")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A node's folder, with its keys alone."""
    make_key(tmp_path / "engine.key")
    make_vault_key(tmp_path / "list.key", expires_at=datetime.now(UTC) + timedelta(hours=1))
    return tmp_path


def list_key(folder: Path) -> VaultKey:
    """Read in the process that uses it: a key is not handed on to a child."""
    return read_vault_key(folder / "list.key", now=datetime.now(UTC))


def opened(folder: Path) -> tuple[AuditLog, Outbox]:
    audit = open_audit(
        folder / "engine.log", key=read_signing_key(folder / "engine.key"), checkpoints=folder / "engine.checkpoints"
    )
    return audit, Outbox(folder / "outbox", list_key(folder), wake=threading.Event())


def logged(folder: Path, name: str = "engine") -> list[str]:
    """The alerts in a log that verifies."""
    read = read_audit(
        folder / f"{name}.log", checkpoints=folder / f"{name}.checkpoints",
        key=read_signing_key(folder / "engine.key").public,
    )  # fmt: skip
    assert not read.flaws
    return [str(each.details["alert"]) for each in read.entries if each.kind == "alert"]


def new_folder(parent: Path, number: int) -> Path:
    """Another node's folder, with the same keys."""
    made = parent / str(number)
    made.mkdir()
    for name in ("engine.key", "engine.pub", "list.key"):
        shutil.copy(parent / name, made)
    return made


def raise_alert(folder: Path) -> None:
    """As an engine of a cluster does."""
    audit, outbox = opened(folder)
    outbox.send(PreparedAudit(audit, [outbox.draft]).record(ALERT))


def restart(folder: Path) -> list[str]:
    """What waits for the head after the node was started again."""
    audit, outbox = opened(folder)
    outbox.finish_drafts(audit)
    audit.close()
    waiting = outbox.waiting(10)
    assert all(unpack_alert(each.packed).entry == ALERT.entry for each in waiting)
    return [each.id for each in waiting]


def test_an_engine_that_is_killed_at_any_step_leaves_an_alert_in_its_log_and_for_the_head_or_in_neither(
    folder: Path,
) -> None:
    found = []
    for step in count():
        node = new_folder(folder, step)
        was_killed = killed_before(step, partial(raise_alert, node))
        waiting = restart(node)
        assert logged(node) == waiting
        assert restart(node) == waiting, "a second start finds nothing left to do"
        assert logged(node) == waiting
        found.append(waiting)
        if not was_killed:
            break
    assert len(found) > 8, "too few steps were found to kill at"
    # From the moment when the draft is whole on, the alert is there; before, nothing had been recorded.
    assert [] in found
    assert found == sorted(found)
    assert found[-1] == [ALERT.id]


def test_an_alert_that_has_no_room_on_the_disk_is_not_recorded(folder: Path) -> None:
    audit, outbox = opened(folder)
    (folder / "outbox").write_text("in the way of the folder")
    with pytest.raises(AuditError, match="could not be stored for the head"):
        PreparedAudit(audit, [outbox.draft]).record(ALERT)
    assert audit.head.sequence == 0
    audit.close()


def test_an_engine_whose_lease_ends_while_it_drafts_logs_nothing_and_the_next_one_does_once(folder: Path) -> None:
    now_s = [100.0]
    lease = Lease(clock_s=lambda: now_s[0])
    lease.renew(asked_s=100, lease_s=5)
    audit, outbox = opened(folder)

    def frozen(_: Alert) -> None:
        now_s[0] += 60

    with pytest.raises(AuthorisationError, match="lease has ended"):
        PreparedAudit(LeasedAudit(audit, lease), [lambda _: lease.require(), outbox.draft, frozen]).record(ALERT)
    audit.close()
    assert logged(folder) == []
    with pytest.raises(AuthorisationError, match="lease has ended"):
        PreparedAudit(LeasedAudit(audit, lease), [lambda _: lease.require(), outbox.draft]).record(ALERT)
    assert restart(folder) == logged(folder) == [ALERT.id]


def test_an_alert_that_was_changed_on_the_disk_is_set_aside_and_said(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, outbox = opened(folder)
    outbox.draft(ALERT)
    outbox.send(RehearsalAudit().record(ALERT))
    (path,) = (folder / "outbox").glob("*.alert")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert outbox.waiting(4) == ()
    assert "was changed on the disk" in caplog.text
    assert (outbox.count(), len(list((folder / "outbox").glob("*.unreadable")))) == (0, 1)


def test_a_draft_of_another_release_is_set_aside_and_the_others_are_finished(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, outbox = opened(folder)
    key = list_key(folder)
    (folder / "outbox").mkdir()
    (folder / "outbox" / f"{0:020d}-77aa.draft").write_bytes(key.seal(b"not packed as now", ["cluster outbox", "77aa"]))
    outbox.draft(ALERT)
    assert restart(folder) == logged(folder) == [ALERT.id]
    assert "alert 77aa was written by another release" in caplog.text
    assert len(list((folder / "outbox").glob("*.unreadable"))) == 1


def test_an_alert_that_is_logged_but_cannot_be_queued_is_a_failed_delivery_and_the_next_start_queues_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit, outbox = opened(folder)
    recorded = PreparedAudit(audit, [outbox.draft]).record(ALERT)

    def full(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("pylfr.cluster.outbox.Path.rename", lambda *_: full(folder))
        with pytest.raises(SinkError, match="could not be queued for the head"):
            outbox.send(recorded)
        with pytest.raises(AuditError, match="could not be queued for the head"):
            outbox.finish_drafts(audit)
    audit.close()
    assert restart(folder) == logged(folder) == [ALERT.id]


class Counting:
    """A sink that says which alerts it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, int]] = []

    def send(self, recorded: object) -> None:
        self.given.append((recorded.value.id, recorded.sequence))  # type: ignore[attr-defined]

    def close(self) -> None:
        """Nothing is held."""


def head_record(folder: Path, *sinks: Sink) -> ClusterRecord:
    audit = open_audit(
        folder / "head.log", key=read_signing_key(folder / "engine.key"), checkpoints=folder / "head.checkpoints"
    )
    record = ClusterRecord(audit, sinks, cooldown_s=30)
    record.load(since=None)
    return record


def take(folder: Path, packed: bytes) -> str:
    """As a head that was just started, with a sink of sealed pictures."""
    evidence = open_sealed_evidence(folder / "evidence", list_key(folder), retention=timedelta(minutes=30))
    return head_record(folder, evidence).take(packed, node="a")


def test_a_head_that_is_killed_at_any_step_has_an_alert_once_with_its_pictures_when_it_comes_again(
    folder: Path,
) -> None:
    packed, steps = pack_alert(ALERT), 0
    for step in count():
        head = new_folder(folder, step)
        was_killed = killed_before(step, partial(take, head, packed))
        # The node was not told, or did not hear: it sends the alert again, and hears that the head has it.
        for _ in range(2):
            assert take(head, packed) == ALERT.id
        assert logged(head, "head") == [ALERT.id]
        pictures = {path.name for path in (head / "evidence").iterdir() if not path.name.startswith(".")}
        assert len(pictures) == 3, pictures
        steps += was_killed
        if not was_killed:
            break
    assert steps > 8, "too few steps were found to kill at"


def test_an_alert_that_comes_twice_is_given_to_the_sinks_once_and_once_more_after_a_restart(folder: Path) -> None:
    sink = Counting()
    record = head_record(folder, sink)
    for _ in range(3):
        record.take(pack_alert(ALERT), node="a")
    assert sink.given == [(ALERT.id, 1)]
    again = Counting()
    record = head_record(folder, again)
    for _ in range(3):
        record.take(pack_alert(ALERT), node="a")
    assert again.given == [(ALERT.id, 1)], "under the same number: whoever has it changes nothing"
    assert record.alerts == 0


def test_a_repeat_that_comes_again_is_given_to_no_sink(folder: Path) -> None:
    other: Alert = replace(ALERT, id="77aa", captured_at=ALERT.captured_at + timedelta(seconds=1))
    record = head_record(folder, Counting())
    record.take(pack_alert(ALERT), node="a")
    record.take(pack_alert(other), node="b")
    sink = Counting()
    assert head_record(folder, sink).take(pack_alert(other), node="b") == other.id
    assert sink.given == []
