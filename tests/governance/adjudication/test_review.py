"""People decide on what the signed log says; records that say anything else are named, and nobody is engaged."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from pylfr.errors import AdjudicationError, AuditError
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.false_alert_limit import FalseAlertCeiling
from pylfr.governance.adjudication.review import Review
from pylfr.governance.adjudication.transaction import Transaction
from pylfr.governance.audit.audit import AuditLog, open_audit
from pylfr.types import Event
from tests.governance.reviews import ONE_PERSON, TWO_PEOPLE, deploy, entries_of, queue, signed_log, words_of
from tests.governance.samples import authorisation


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(signed_log(tmp_path)) as log:
        yield log


@pytest.fixture
def records(records_url: str, audit: AuditLog) -> Iterator[Records]:
    with closing(open_records(records_url)) as opened:
        deploy(opened, audit)
        queue(opened, audit)
        yield opened


@pytest.fixture
def review(records: Records, audit: AuditLog) -> Review:
    return Review(records, audit)


def kinds(folder: Path) -> list[str]:
    return [entry.kind for entry in entries_of(folder)]


def edit(records_url: str, statement: str) -> None:
    """Change the records behind the back of everybody."""
    engine = sa.create_engine(records_url)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def decide(review: Review, *verdicts: str) -> None:
    for name, verdict in zip(("Ann", "Bob"), verdicts, strict=False):
        review.adjudicate("a1", by=name, verdict=verdict)  # type: ignore[arg-type]


def test_an_alert_goes_from_people_to_an_outcome(review: Review, tmp_path: Path) -> None:
    review.adjudicate("a1", by="Ann", verdict="same person")
    assert review.alert("a1").case.state == "partly adjudicated"
    assert review.alert("a1").case.visible_adjudications == ()
    review.adjudicate("a1", by="Bob", verdict="same person")
    engaged = review.engage("a1", by="Cem", decision="engage")
    review.close_case("a1", by="Cem", finding="true alert")
    assert engaged.value.officer == "Cem"
    assert engaged.sequence == 5
    [row] = review.alerts(TWO_PEOPLE.reference)
    assert (row.entry, row.case.state, row.differences) == ("Ada", "closed", ())
    assert [each.adjudicator for each in row.case.visible_adjudications] == ["Ann", "Bob"]
    assert kinds(tmp_path) == ["deployed", "alert", "adjudication", "adjudication", "engagement", "outcome"]
    assert review.alerts("other") == ()


def test_what_may_not_be_decided_leaves_no_trace(review: Review, tmp_path: Path) -> None:
    review.adjudicate("a1", by="Ann", verdict="same person")
    with pytest.raises(AdjudicationError, match="another person"):
        review.adjudicate("a1", by="ann", verdict="same person")
    with pytest.raises(AdjudicationError, match="only while it is confirmed"):
        review.engage("a1", by="Cem", decision="engage")
    with pytest.raises(AdjudicationError, match="there are 0"):
        review.adjudicate("b", by="Ann", verdict="same person")
    assert kinds(tmp_path) == ["deployed", "alert", "adjudication"]


def test_a_decision_that_cannot_be_logged_is_not_stored(review: Review, records: Records, audit: AuditLog) -> None:
    audit.close()
    with pytest.raises(AuditError, match="closed"):
        review.adjudicate("a1", by="Ann", verdict="same person")
    assert records.stored().decisions == ()


def test_two_people_at_once_are_both_heard_and_one_person_only_once(
    review: Review, records_url: str, tmp_path: Path
) -> None:
    refused: list[str] = []

    def decide_as(who: str) -> None:
        with closing(signed_log(tmp_path)) as own_log, closing(open_records(records_url)) as own:
            try:
                Review(own, own_log).adjudicate("a1", by=who, verdict="same person")
            except AdjudicationError:
                refused.append(who)

    threads = [threading.Thread(target=decide_as, args=(who,)) for who in ("Ann", "Bob", "Ann", "ANN")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    case = review.alert("a1").case
    assert case.state == "confirmed"
    assert len(refused) == 2
    assert {each.adjudicator.casefold() for each in case.adjudications} == {"ann", "bob"}


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE adjudications SET verdict = 'same person'", "adjudications, a1, verdict 2"),
        ("UPDATE adjudications SET adjudicator = 'Dee' WHERE number = 1", "adjudications, a1, verdict 1"),
        ("UPDATE adjudications SET at = '2020-01-01T00:00:00.000Z' WHERE number = 1", "adjudications, a1, verdict 1"),
        ("DELETE FROM adjudications WHERE number = 2", "adjudications, a1, verdict 2"),
        ("INSERT INTO engagements (alert, officer, decision, at) VALUES ('a1', 'Cem', 'engage', '2026')",
         "engagements, a1"),
        ("UPDATE alerts SET min_adjudicators = 1", "alerts, a1"),
        ("UPDATE alerts SET entry = 'Grace'", "alerts, a1"),
        ("UPDATE alerts SET camera = 'south'", "alerts, a1"),
        ("UPDATE alerts SET score = 0.99", "alerts, a1"),
    ],
)  # fmt: skip
def test_records_that_were_edited_are_not_believed_and_the_row_is_named(
    review: Review, records_url: str, statement: str, row: str
) -> None:
    decide(review, "same person", "different person")
    edit(records_url, statement)
    shown = review.alert("a1")
    assert shown.case.state == "refuted"
    assert [each.verdict for each in shown.case.adjudications] == ["same person", "different person"]
    assert row in {each.row for each in shown.differences}
    for act in (
        lambda: review.engage("a1", by="Cem", decision="engage"),
        lambda: review.close_case("a1", by="Cem", finding="true alert"),
        lambda: review.amend_verdict("a1", by="Bob", verdict="same person", reason="mistaken"),
    ):
        with pytest.raises(AdjudicationError, match=f"nothing is decided: row {row}"):
            act()


def test_the_terms_are_those_of_the_log_and_not_those_that_the_records_have_now(
    review: Review, records_url: str, tmp_path: Path
) -> None:
    decide(review, "same person")
    edit(records_url, "UPDATE deployments SET words = replace(words, 'uk-police', 'research')")
    [difference] = review.read().differences
    assert (difference.alert, difference.row) == (None, f"deployments, {TWO_PEOPLE.reference}")
    assert review.alert("a1").case.state == "partly adjudicated"
    with pytest.raises(AdjudicationError, match="nothing is decided: row deployments"):
        review.engage("a1", by="Cem", decision="engage")
    edit(records_url, "DELETE FROM deployments")
    with pytest.raises(AdjudicationError, match="nothing is decided: row deployments"):
        review.adjudicate("a1", by="Bob", verdict="same person")
    with pytest.raises(AdjudicationError, match="cannot be restored"):
        review.restore(by="Op")


def test_a_row_that_vanished_is_said_to_be_deleted_where_its_run_had_ended(
    review: Review, audit: AuditLog, records: Records, records_url: str
) -> None:
    queue(records, audit, id_="a2")
    edit(records_url, "DELETE FROM alerts WHERE id = 'a2'")
    assert "its run broke off before it was, or the row was deleted" in review.alert("a2").differences[0].what
    audit.note(Event(kind="run-ended", details={"authorisation": TWO_PEOPLE.reference}))
    assert "its run ended properly: the row was deleted" in review.alert("a2").differences[0].what
    assert review.alert("a1").differences == ()


def test_an_alert_that_only_the_records_have_is_shown_as_added(review: Review, records_url: str) -> None:
    edit(
        records_url,
        "INSERT INTO alerts SELECT 'a9', sequence, authorisation, camera, captured_at, recorded_at, entry, score,"
        " threshold, min_adjudicators, erase_at, forget_at FROM alerts",
    )
    [difference] = review.read().differences
    assert (difference.alert, difference.row) == ("a9", "alerts, a9")
    assert "the log has no such alert" in difference.what
    with pytest.raises(AdjudicationError, match="there are 0"):
        review.adjudicate("a9", by="Ann", verdict="same person")


def test_records_know_a_log_that_was_cut_with_its_checkpoints(
    review: Review, records: Records, audit: AuditLog, tmp_path: Path
) -> None:
    decide(review, "same person", "different person")
    audit.close()
    for name in ("audit.log", "elsewhere"):
        path = tmp_path / name
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with closing(signed_log(tmp_path)) as shorter:
        later = Review(records, shorter)
        assert "the records had seen entry 4 of the log, which is gone" in later.read().differences[0].what
        with pytest.raises(AdjudicationError, match="the log is shorter than the records know"):
            later.adjudicate("a1", by="Bob", verdict="same person")
        with pytest.raises(AdjudicationError, match="was cut, and is not the truth"):
            later.restore(by="Op")


def test_a_crash_between_log_and_records_is_caught_up_with_and_is_no_difference_for_ever(
    review: Review, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(review, "same person")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "remember", crash)
        with pytest.raises(KeyboardInterrupt):
            review.adjudicate("a1", by="Bob", verdict="same person")
    assert len(records.stored().decisions) == 1
    assert review.alert("a1").case.state == "confirmed"
    review.engage("a1", by="Cem", decision="engage")
    assert review.read().differences == ()
    assert len(records.stored().decisions) == 3


def test_records_are_restored_to_what_the_log_says_and_each_difference_is_logged(
    review: Review, records_url: str, audit: AuditLog
) -> None:
    decide(review, "same person", "different person")
    edit(records_url, "UPDATE adjudications SET verdict = 'same person'")
    edit(records_url, "UPDATE alerts SET entry = 'Grace', min_adjudicators = 1")
    differences = review.restore(by="Op")
    assert len(differences) == 3
    assert review.read().differences == ()
    assert review.alert("a1").entry is None
    assert [entry.details["row"] for entry in audit.entries("records-restored")] == [each.row for each in differences]
    review.close_case("a1", by="Cem", finding="false alert")


def test_nobody_is_engaged_on_a_log_that_is_not_signed(records_url: str, tmp_path: Path) -> None:
    with closing(open_audit(tmp_path / "plain.log")) as log, closing(open_records(records_url)) as records:
        deploy(records, log, ONE_PERSON)
        queue(records, log, terms=ONE_PERSON)
        review = Review(records, log)
        review.adjudicate("a1", by="Ann", verdict="same person")
        with pytest.raises(AdjudicationError, match="a log that is not signed"):
            review.engage("a1", by="Ann", decision="engage")


def test_a_mistaken_verdict_is_amended_by_its_own_author_with_a_reason(review: Review, tmp_path: Path) -> None:
    decide(review, "different person", "same person")
    with pytest.raises(AdjudicationError, match="must give its reason"):
        review.amend_verdict("a1", by="Ann", verdict="same person", reason=" ")
    with pytest.raises(AdjudicationError, match="has no verdict of 'Cem'"):
        review.amend_verdict("a1", by="Cem", verdict="same person", reason="I know better")
    review.amend_verdict("a1", by="Ann", verdict="same person", reason="pressed the wrong key")
    row = review.alert("a1")
    assert (row.case.state, row.differences) == ("confirmed", ())
    assert row.case.adjudications[0].reason == "pressed the wrong key"
    assert kinds(tmp_path)[-3:] == ["adjudication", "adjudication", "verdict-amended"]


def test_an_outcome_is_given_without_an_engagement_and_amended(review: Review) -> None:
    decide(review, "same person", "different person")
    review.close_case("a1", by="Cem", finding="false alert")
    assert review.alert("a1").case.finding == "false alert"
    review.amend_outcome("a1", by="Cem", finding="true alert", reason="arrested an hour later, elsewhere")
    row = review.alert("a1")
    assert (row.case.state, row.case.finding, row.differences) == ("closed", "true alert", ())


def test_somebody_who_decided_not_to_engage_can_say_what_it_was(review: Review) -> None:
    decide(review, "same person", "same person")
    review.engage("a1", by="Cem", decision="do not engage", reason="a child was with them")
    review.close_case("a1", by="Cem", finding="unresolved")
    assert review.alert("a1").case.state == "closed"


def test_false_alerts_are_counted_from_the_log(review: Review, records_url: str, audit: AuditLog) -> None:
    since = next(iter(audit.entries())).at
    decide(review, "same person", "different person")
    edit(records_url, "UPDATE adjudications SET verdict = 'same person'")
    for reference, words, count in (
        (TWO_PEOPLE.reference, words_of(TWO_PEOPLE), 1),
        (authorisation().reference, "{}", 0),
    ):
        limit = FalseAlertCeiling(audit, authorisation=reference, words=words, since=since, ceiling=0.001)
        assert limit.count_false() == count


def _decide_without_end(url: str, folder: Path, round_: int) -> None:
    log, records = signed_log(folder), open_records(url)
    review = Review(records, log)
    done = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(10_000):
        id_ = f"r{round_}n{number}."
        queue(records, log, id_=id_, terms=ONE_PERSON)
        review.adjudicate(id_, by="Ann", verdict="same person")
        os.write(done, f"{id_}\n".encode())


def test_kills_lose_no_acknowledged_adjudication(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    with closing(signed_log(tmp_path)) as log, closing(open_records(url)) as records:
        deploy(records, log, ONE_PERSON)
    chance = random.Random(3)
    for round_ in range(40):
        child = os.fork()
        if child == 0:
            try:
                _decide_without_end(url, tmp_path, round_)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.05, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with closing(signed_log(tmp_path)) as log, closing(open_records(url)) as records:
        review = Review(records, log)
        log.note(Event(kind="tick", details={}))
        reviewed = review.read()
    decided = {row.id for row in reviewed.alerts if row.case.adjudications}
    acknowledged = (tmp_path / "acknowledged").read_text().split()
    assert acknowledged
    assert set(acknowledged) <= decided
    # A kill between log and records leaves the log ahead: never behind.
    assert all("missing" in each.what for each in reviewed.differences)


def test_what_the_policy_asks_a_reason_for_is_refused_without_one(review: Review, audit: AuditLog) -> None:
    for reason in ("", "  "):
        with pytest.raises(AdjudicationError, match="the policy asks why: give the reason for 'cannot tell'"):
            review.adjudicate("a1", by="Ann", verdict="cannot tell", reason=reason)
    assert not list(audit.entries("adjudication"))
    review.adjudicate("a1", by="Ann", verdict="cannot tell", reason="turned away")
    assert review.alert("a1").reasons_for == {"cannot tell", "do not engage"}
