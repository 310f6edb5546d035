"""A head that died and was started again goes on with what had been decided, and decides nothing by itself."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pylfr.cluster.head import ClusterHead
from pylfr.cluster.open import open_head
from pylfr.deployment.resources import open_resources
from pylfr.errors import AuditError, AuthorisationError, ConfigError
from pylfr.governance.audit.audit import AuditLog, read_audit
from pylfr.types import Event
from tests.cluster.stage import Stage, wait_for
from tests.cluster.table import CAMERAS, Table, alert_of, ended

if TYPE_CHECKING:
    from pylfr.cluster.driver import RunningCluster


def head_of(table: Table) -> ClusterHead:
    assert table.head is not None
    return table.head


def why_away(cluster: RunningCluster) -> str:
    """Why the head does not answer; "" where it does."""
    try:
        cluster.status()
    except ConfigError as error:
        return str(error)
    return ""


def test_a_run_that_was_stopped_stays_stopped(lasting: Table) -> None:
    table = lasting
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    table.links["a"].is_cut = True
    head_of(table).stop("stopped by the operator")
    table.stop_head()
    table.start_head()
    assert head_of(table).status().stopped_because == "stopped by the operator"
    table.links["a"].is_cut = False
    wait_for(lambda: head_of(table).has_settled, "a has ended its engine")
    assert table.held("a") == 0
    head_of(table).close()
    assert ended(table.folder)["because"] == "stopped by the operator"
    assert table.kinds().count("cluster-stopped") == 1


def test_what_was_drained_and_what_has_come_to_its_end_stays_so(lasting: Table) -> None:
    table = lasting
    table.add("a", capacity=6)
    table.add("b", capacity=6)
    wait_for(lambda: table.shared("a", "b"), "cameras are spread")
    head_of(table).drain("b")
    wait_for(lambda: table.held("a") == 6, "a has all")
    table.engines["a"][-1].ended = frozenset(CAMERAS[:2])
    wait_for(lambda: head_of(table).status().ended == CAMERAS[:2], "two recordings have ended")
    table.stop_head()
    table.start_head()
    status = head_of(table).status()
    assert status.ended == CAMERAS[:2]
    wait_for(lambda: len(head_of(table).status().nodes) == 2, "both have joined")
    assert {each.name for each in head_of(table).status().nodes if each.is_drained} == {"b"}
    wait_for(lambda: table.held("a") == 4, "a has what has not ended")
    assert table.held("b") == 0
    assert table.kinds().count("camera-finished") == 2
    head_of(table).undrain("b")
    wait_for(lambda: table.held("b") > 0, "b has its share")


def test_a_run_that_is_stopped_before_its_nodes_are_back_waits_for_what_they_have(lasting: Table) -> None:
    table = lasting
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    table.links["a"].is_cut = True
    table.raise_alert("a", alert_of("one", at=datetime.now(UTC)))
    table.stop_head()
    table.start_head()
    head_of(table).stop("stopped by the operator")
    head_of(table).tick()
    assert not head_of(table).has_settled
    table.links["a"].is_cut = False
    wait_for(lambda: head_of(table).has_settled, "a has handed over what it had")
    assert table.kinds().count("alert") == 1


def test_a_stop_that_could_not_be_noted_is_noted_once_there_is_room(
    lasting: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lasting
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    note, is_full = AuditLog.note, True

    def on_a_full_disk(log: AuditLog, event: Event) -> None:
        if is_full and event.kind == "cluster-stopped":
            raise AuditError("No space left on device")
        note(log, event)

    monkeypatch.setattr(AuditLog, "note", on_a_full_disk)
    # The table's own thread has no patience with a full disk.
    head = head_of(table)
    monkeypatch.setattr(table, "head", None)
    with pytest.raises(AuditError):
        head.stop("stopped by the operator")
    with pytest.raises(AuditError):
        head.tick()
    assert not head.has_settled
    is_full = False
    monkeypatch.setattr(table, "head", head)
    wait_for(lambda: head.has_settled, "a has ended its engine")
    assert table.kinds().count("cluster-stopped") == 1


def test_a_camera_that_the_deployment_has_no_more_is_nobodys(lasting: Table) -> None:
    table = lasting
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    table.engines["a"][-1].cameras |= {"of another deployment"}
    table.stop_head()
    table.start_head()
    wait_for(lambda: table.held("a") == 6, "a has what there is")
    assert table.engines["a"][-1].cameras == frozenset(CAMERAS)


def test_whoever_only_starts_a_head_again_begins_no_run(folder: Path) -> None:
    deployment = folder / "deployment.toml"
    with (
        open_resources(deployment) as resources,
        pytest.raises(AuthorisationError, match="`pylfr cluster run` begins another run"),
    ):
        open_head(resources, may_begin=False)
    with open_resources(deployment) as resources:
        open_head(resources)
    # The first one died: its run goes on.
    with open_resources(deployment) as resources:
        head = open_head(resources, may_begin=False)
        head.stop("it is over")
        head.close()
    with (
        open_resources(deployment) as resources,
        pytest.raises(AuthorisationError, match="its head was started again: the run has ended"),
    ):
        open_head(resources, may_begin=False)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install pylfr[cluster]")
def test_a_head_that_is_killed_after_its_run_begins_no_other(folder: Path) -> None:
    with Stage(folder, "127.0.0.1") as stage, stage.connected():
        from pylfr.cluster import driver

        cluster = driver.start(folder / "deployment.toml")
        cluster.stop("it is over")
        wait_for(lambda: cluster.status().has_ended, "the run has ended")
        (head,) = stage.nodes["head"].actors("HeadActor")
        os.kill(head, signal.SIGKILL)
        wait_for(lambda: "begins another run" in why_away(cluster), "it says why it is not there")
        wait_for(lambda: stage.nodes["head"].actors("HeadActor") == [], "its process ends")
        # Whoever asks for a run gets one.
        assert not driver.start(folder / "deployment.toml").status().has_ended
    kinds = [each.kind for each in read_audit(folder / "audit.log").entries]
    assert kinds.count("run-began") == 2
