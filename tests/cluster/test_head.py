"""A head and its nodes: leases, drains, watchlists, restarts, repeats, and how a run ends."""

from __future__ import annotations

import errno
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pylfr.cluster.incoming_list import IncomingList
from pylfr.cluster.metrics import ClusterCollector
from pylfr.cluster.node import MOST_ALERTS
from pylfr.cluster.packed_alert import unpack_alert
from pylfr.deployment.config import read_deployment
from pylfr.gallery.watchlist.sealed import seal_watchlist
from pylfr.governance.audit.audit import AuditLog, read_audit
from pylfr.governance.keys.vault import make_vault_key, read_vault_key
from pylfr.types import Alert, Event
from tests.cluster.stage import wait_for
from tests.cluster.table import Table, alert_of, counted, ended, has_newest, seal_again


def test_an_alert_that_an_engine_had_only_drafted_when_it_was_killed_comes_to_the_head(table: Table) -> None:
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    table.engines["a"][-1].outbox.draft(alert_of("one", at=datetime.now(UTC)))
    table.engines["a"][-1].trouble = "it was killed"
    wait_for(lambda: table.kinds().count("alert") == 1, "it is recorded")
    wait_for(lambda: not list((table.folder / "a" / "outbox").iterdir()), "nothing waits")
    kinds = [each.kind for each in read_audit(table.folder / "a" / "engine.log").entries]
    assert kinds == ["alert", "alert-finished-late"]


def test_an_alert_that_the_head_cannot_read_stays_with_its_node_and_holds_up_no_other(
    lasting: Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unpack(content: bytes) -> Alert:
        alert = unpack_alert(content)
        if alert.id.startswith("unreadable"):
            raise ValueError("it is no packed alert")
        return alert

    table = lasting
    monkeypatch.setattr("pylfr.cluster.record.unpack_alert", unpack)
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    for number, name in enumerate((*(f"unreadable-{number}" for number in range(MOST_ALERTS)), "two")):
        table.raise_alert("a", alert_of(name, at=datetime.now(UTC) + timedelta(hours=number)))
    wait_for(lambda: table.kinds().count("alert") == 1, "the other one is recorded")
    wait_for(lambda: len(list((table.folder / "a" / "outbox").iterdir())) == MOST_ALERTS, "it does not wait any more")
    assert table.held("a") == 6
    assert not table.engines["a"][-1].stopped_because
    assert len(list((table.folder / "a" / "outbox").iterdir())) == MOST_ALERTS
    assert "stays in its queue: it is no packed alert" in caplog.text


def test_a_node_that_has_greeted_is_not_given_up_before_it_could_join(table: Table) -> None:
    table.add("a", capacity=6, meanwhile=lambda head: head.tick())
    wait_for(lambda: table.held("a") == 6, "a has all")


def test_a_drained_node_gives_its_cameras_to_the_others(table: Table) -> None:
    table.add("a", capacity=6)
    table.add("b", capacity=6)
    wait_for(lambda: table.shared("a", "b"), "cameras are spread")
    assert table.head is not None
    table.head.drain("a")
    wait_for(lambda: table.held("a") == 0 and table.held("b") == 6, "b has all")
    table.head.undrain("a")
    wait_for(lambda: table.held("a") >= 2, "a has its share again")


def test_a_node_that_is_cut_off_stops_by_itself_and_what_has_no_room_is_said(table: Table) -> None:
    table.add("a", capacity=6)
    table.add("b", capacity=4)
    wait_for(lambda: table.held("a") + table.held("b") == 6, "all are placed")
    table.links["a"].is_cut = True
    wait_for(lambda: "lease has ended" in table.engines["a"][-1].stopped_because, "a stops")
    wait_for(lambda: table.held("b") == 4, "b has as many as it can hold")
    assert table.head is not None
    wait_for(lambda: table.head is not None and len(table.head.status().unplaced) == 2, "two have no room")
    registry = CollectorRegistry()
    registry.register(ClusterCollector(table.head))
    assert registry.get_sample_value("pylfr_cluster_cameras_unplaced") == 2
    assert registry.get_sample_value("pylfr_cluster_node_cameras", {"node": "b"}) == 4
    table.links["a"].is_cut = False
    wait_for(lambda: table.held("a") + table.held("b") == 6, "all are placed again")
    assert "engine-lost" in table.kinds()


def test_an_engine_whose_lease_ended_before_it_was_renewed_ends(table: Table) -> None:
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    # Asked under the lease, which is over when the answer comes; what the answer renews is not over yet.
    table.links["a"].delay_s = 1.35
    wait_for(lambda: len(table.engines["a"]) >= 2, "another engine is opened")
    assert "lease has ended" in table.engines["a"][0].stopped_because
    wait_for(lambda: table.held("a") == 6, "a has all again")


def test_nodes_are_answered_while_many_cameras_move(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    note = AuditLog.note

    def slowly(log: AuditLog, event: Event) -> None:
        time.sleep(0.3 if event.kind == "camera-placed" else 0.0)
        note(log, event)

    # Six moves at once would take longer than a lease.
    monkeypatch.setattr(AuditLog, "note", slowly)
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    assert table.head is not None
    table.head.drain("a")
    wait_for(lambda: table.held("a") == 0, "a has none")
    table.head.undrain("a")
    wait_for(lambda: table.held("a") == 6, "a has all again")
    assert len(table.engines["a"]) == 1, "its lease has not ended"


def test_a_node_whose_key_is_not_named_is_given_nothing(table: Table) -> None:
    table.add("stranger", capacity=6)
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    assert table.engines["stranger"] == []
    assert not (table.folder / "stranger" / "watchlist.sealed").exists()


def test_a_new_list_is_confirmed_and_a_node_that_cannot_read_it_loses_its_cameras(table: Table) -> None:
    table.add("a", capacity=6)
    table.add("b", capacity=6, reads_watchlists=False)
    wait_for(lambda: table.shared("a", "b"), "cameras are spread")
    seal_again(table.folder, step=1)
    wait_for(lambda: has_newest(table, "a"), "a confirms the new list")
    wait_for(lambda: "lease has ended" in table.engines["b"][0].stopped_because, "b stops")


def test_the_cameras_of_a_node_that_cannot_store_the_new_list_go_to_the_others(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_list: IncomingList, path: Path) -> None:
        if path.parent.name == "b" and path.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write_list(_list, path)

    write_list = IncomingList.write
    monkeypatch.setattr(IncomingList, "write", write)
    table.add("a", capacity=6)
    table.add("b", capacity=6)
    wait_for(lambda: table.shared("a", "b"), "cameras are spread")
    seal_again(table.folder, step=1)
    wait_for(lambda: table.held("a") == 6, "a has all")
    assert table.head is not None
    assert "it has not taken the newest watchlist" in {each.why for each in table.head.status().nodes}
    assert len(table.engines["b"]) == 1, "none is opened again without a lease"


def test_no_engine_is_opened_on_a_list_that_is_not_the_newest(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    table.links["a"].is_cut = True
    wait_for(lambda: "lease has ended" in table.engines["a"][0].stopped_because, "a stops")
    seal_again(table.folder, step=1)
    monkeypatch.setattr("pylfr.cluster.incoming_list.PART_BYTES", 20)
    opened_on: list[bytes] = []
    monkeypatch.setattr(table, "opened", lambda: opened_on.append((table.folder / "a/watchlist.sealed").read_bytes()))
    table.links["a"].is_cut = False
    wait_for(lambda: table.held("a") == 6, "a has all again")
    assert opened_on == [(table.folder / "sealed").read_bytes()]


def test_a_new_revision_is_confirmed_with_the_beat_after_the_one_that_brings_it(table: Table) -> None:
    table.add("a", capacity=3)
    table.add("b", capacity=3)
    wait_for(lambda: table.shared("a", "b"), "cameras are spread")
    wait_for(lambda: has_newest(table, "a") and has_newest(table, "b"), "both have the first list")
    assert table.head is not None
    before = table.head.status().watchlist_revision
    for revision in (before + 1, before + 2):
        seal_again(table.folder, step=1)
        told = {name: len(table.links[name].revisions) for name in ("a", "b")}
        wait_for(lambda: has_newest(table, "a") and has_newest(table, "b"), "both have the new list")
        assert table.head.status().watchlist_revision == revision
        for name, beats in told.items():
            heard = table.links[name].revisions
            confirmed = heard[beats:].index(revision)
            # One may be under way, the next one brings the list, the one after that confirms it.
            assert confirmed <= 2, f"{name} confirmed with its beat {confirmed + 1}"


def test_a_list_that_is_larger_than_one_answer_comes_in_parts(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylfr.cluster.incoming_list.PART_BYTES", 20)
    size = (table.folder / "sealed").stat().st_size
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    assert (table.folder / "a" / "watchlist.sealed").read_bytes() == (table.folder / "sealed").read_bytes()
    assert len(table.links["a"].revisions) > size // 20


def test_the_run_ends_with_what_all_engines_have_counted(lasting: Table) -> None:
    table = lasting
    reference = read_deployment(table.folder / "deployment.toml").authorisation
    table.add("a", capacity=6)
    table.add("b", capacity=6)
    wait_for(lambda: table.shared("a", "b"), "cameras are spread")
    at = datetime.now(UTC)
    table.engines["a"][-1].totals, table.engines["b"][-1].totals = counted(7, dwell_ms=3.0), counted(20, dwell_ms=2.0)
    table.raise_alert("a", alert_of("one", at=at))
    table.raise_alert("b", alert_of("two", at=at + timedelta(seconds=1)))
    wait_for(lambda: {"alert", "alert-repeated"} <= set(table.kinds()), "both are taken")
    # One engine is lost for good, with the count of its last beat; another is started in its place.
    table.links["b"].is_cut = True
    wait_for(lambda: "engine-lost" in table.kinds(), "b is given up")
    # The head dies, and is started again while a goes on: the counts before count on.
    table.stop_head()
    table.start_head()
    wait_for(lambda: table.held("a") == 6, "a has all")
    table.engines["a"][-1].totals = counted(9, dwell_ms=3.5)
    assert table.head is not None
    table.head.stop("stopped by the operator")
    wait_for(lambda: table.head is not None and table.head.has_settled, "a has handed over what it had")
    table.head.close()
    assert table.kinds().count("run-began") == 1
    assert table.kinds()[-1] == "run-ended"
    assert reference is not None
    assert ended(table.folder) | {"seconds": 0} == {
        **asdict(counted(29, dwell_ms=3.5)), "authorisation": reference.reference, "alerts": 1, "suppressed": 1,
        "seconds": 0, "because": "stopped by the operator",
    }  # fmt: skip
    assert table.head.status().has_ended
    assert table.engines["a"][-1].stopped_because == "stopped by the operator"


def test_the_run_ends_by_itself_when_its_window_does(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    assert table.head is not None
    monkeypatch.setattr("pylfr.cluster.head.steady_now", lambda: datetime.now(UTC) + timedelta(hours=3))
    wait_for(lambda: table.head is not None and table.head.has_settled, "the run is over")
    table.head.close()
    assert str(ended(table.folder)["because"]).startswith("the authorised window ended at")
    assert "window ended" in table.engines["a"][-1].stopped_because


def test_a_list_that_is_older_than_before_stops_every_engine(table: Table) -> None:
    seal_again(table.folder, step=5)
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    seal_again(table.folder, step=-3)
    wait_for(lambda: "is an older one" in table.engines["a"][-1].stopped_because, "a stops")


def test_an_engine_ends_where_its_head_comes_back_with_another_deployment(lasting: Table) -> None:
    table = lasting
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    table.engines["a"][-1].outbox.draft(alert_of("one", at=datetime.now(UTC)))
    table.stop_head()
    make_vault_key(table.folder / "other.key", expires_at=datetime.now(UTC) + timedelta(hours=1))
    key = read_vault_key(table.folder / "other.key", now=datetime.now(UTC))
    seal_watchlist(table.folder / "plain", table.folder / "fresh", key)
    (table.folder / "fresh").replace(table.folder / "sealed")
    text = (table.folder / "deployment.toml").read_text()
    (table.folder / "deployment.toml").write_text(text.replace("watchlist.key", "other.key"))
    table.start_head()
    wait_for(lambda: len(table.engines["a"]) >= 2, "another engine is opened")
    wait_for(lambda: table.held("a") == 6, "a has all again")
    wait_for(lambda: table.kinds().count("alert") == 1, "what the first engine had drafted is recorded")
    wait_for(lambda: not list((table.folder / "a" / "outbox").iterdir()), "nothing waits")


def test_engines_outlive_their_head_and_nothing_is_recorded_twice(lasting: Table) -> None:
    table = lasting
    table.add("a", capacity=6)
    wait_for(lambda: table.held("a") == 6, "a has all")
    at = datetime.now(UTC)
    table.raise_alert("a", alert_of("one", at=at))
    wait_for(lambda: table.kinds().count("alert") == 1, "it is recorded")
    table.stop_head()
    table.start_head()
    # As an engine that was not told that its alert had been taken, and one that the camera moved to.
    table.raise_alert("a", alert_of("one", at=at))
    table.raise_alert("a", alert_of("two", at=at + timedelta(seconds=5)))
    table.raise_alert("a", alert_of("three", at=at + timedelta(seconds=5), entry="Grace"))
    wait_for(lambda: table.kinds().count("alert") == 2, "the other person is recorded")
    wait_for(lambda: not list((table.folder / "a" / "outbox").glob("*.alert")), "nothing waits")
    assert (table.kinds().count("alert"), table.kinds().count("alert-repeated")) == (2, 1)
    wait_for(lambda: table.held("a") == 6, "a has all")
    assert len(table.engines["a"]) == 1, "the engine went on"
