"""What names somebody is encrypted before a database gets it: once its key is destroyed, no copy can be read."""

from __future__ import annotations

import subprocess
import weakref
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pylfr.errors import AdjudicationError, VaultError
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.erasure_keys import ErasureKeys, SealedValueError
from pylfr.governance.adjudication.review import Review
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.keys.vault import destroy_key
from tests.governance.reviews import DAY, deploy, queue, signed_log
from tests.postgres import Postgres, program

NOON = datetime(2026, 1, 11, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
# Nothing that another test wrote into the same server.
SECRET = ("Eve Higgs of Erewhon", "Arowhena Nosnibor", "the same watch")


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


def keys_in(folder: Path, clock: Clock, *, passphrase: str | None = None) -> ErasureKeys:
    return ErasureKeys(folder, passphrase=passphrase, clock=clock)


def sweep(keys: ErasureKeys, *, now: datetime) -> int:
    """As ``pylfr sweep`` does."""
    over = [path for path, until in keys.ends().items() if now >= until]
    for path in over:
        destroy_key(path)
    return len(over)


def test_a_value_is_read_until_its_hour_has_ended_and_by_nobody_afterwards(tmp_path: Path) -> None:
    clock = Clock()
    keys = keys_in(tmp_path / "keys", clock)
    until = NOON + timedelta(minutes=90)
    sealed = keys.seal("Ada", ["alerts", "a"], until=until)
    assert "Ada" not in sealed
    assert keys.open(sealed, ["alerts", "a"]) == "Ada"
    with pytest.raises(SealedValueError):
        keys.open(sealed, ["alerts", "b"])
    assert list(keys.ends().values()) == [NOON + 2 * HOUR]
    assert sweep(keys, now=until) == 0
    assert sweep(keys, now=NOON + 2 * HOUR) == 1
    assert list((tmp_path / "keys").iterdir()) == []
    with pytest.raises(SealedValueError, match="missing before its time"):
        keys_in(tmp_path / "keys", clock).open(sealed, ["alerts", "a"])
    clock.now = NOON + 2 * HOUR
    assert keys.open(sealed, ["alerts", "a"]) is None


def test_values_of_one_hour_or_of_a_far_day_share_a_key_also_between_processes(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (keys_in(tmp_path / "keys", clock, passphrase="a passphrase") for _ in range(2))
    sealed = [keys.seal("Ada", "x", until=NOON + timedelta(minutes=5)) for keys in (one, other)]
    sealed += [keys.seal("Ada", "x", until=NOON + 31 * DAY) for keys in (one, other)]
    assert len(set(sealed)) == 4
    assert [other.open(each, "x") for each in sealed] == ["Ada"] * 4
    assert sorted(one.ends().values()) == [NOON + HOUR, datetime(2026, 2, 12, tzinfo=UTC)]
    with pytest.raises(SealedValueError, match="passphrase"):
        keys_in(tmp_path / "keys", clock).open(sealed[0], "x")


def test_an_expired_key_does_not_stay_in_the_memory_of_a_process_that_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    keys = keys_in(tmp_path / "keys", clock)
    sealed = keys.seal("Ada", "x", until=NOON + timedelta(minutes=5))
    keys.seal("Grace", "x", until=NOON + 31 * DAY)
    memory = weakref.ref(keys._opened["20260111T130000Z"].secret)
    clock.now = NOON + HOUR
    assert keys.open(sealed, "x") is None
    assert memory() is None
    # Not even a clock that is set back brings it back.
    sweep(keys, now=clock())
    clock.now = NOON
    with pytest.raises(SealedValueError, match="missing before its time"):
        keys.open(sealed, "x")


def test_keys_are_their_owners_alone_and_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    keys_in(tmp_path / "keys", Clock()).seal("Ada", "x", until=NOON)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    (tmp_path / "taken").touch()
    with pytest.raises(VaultError, match="cannot be made"):
        keys_in(tmp_path / "taken", Clock()).seal("Ada", "x", until=NOON)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    log = signed_log(tmp_path)
    yield log
    log.close()


def now_utc() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def keys(tmp_path: Path) -> ErasureKeys:
    return ErasureKeys(tmp_path / "keys", passphrase=None, clock=now_utc)


@pytest.fixture
def records(records_url: str, keys: ErasureKeys) -> Iterator[Records]:
    opened = open_records(records_url, keys=keys)
    yield opened
    opened.close()


def decided(records: Records, audit: AuditLog) -> Review:
    """An alert on which two people decided, with an outcome."""
    name, person, reason = SECRET
    deploy(records, audit)
    queue(records, audit, entry=name)
    review = Review(records, audit)
    for by in (person, "Bob Reviewer"):
        review.adjudicate("a1", by=by, verdict="same person", reason=reason)
    review.engage("a1", by="Cem Example", decision="engage")
    review.close_case("a1", by="Cem Example", finding="true alert")
    return review


def test_people_decide_on_encrypted_records_as_on_others(records: Records, audit: AuditLog, records_url: str) -> None:
    review = decided(records, audit)
    row = review.alert("a1")
    assert row.differences == ()
    assert row.entry == SECRET[0]
    assert [each.adjudicator for each in row.case.adjudications] == [SECRET[1], "Bob Reviewer"]
    assert [each.reason for each in row.case.adjudications] == [SECRET[2]] * 2
    engine = sa.create_engine(records_url)
    with engine.begin() as connection:
        texts = [
            str(value)
            for table in ("alerts", "adjudications", "engagements", "outcomes")
            for found in connection.execute(sa.text(f"SELECT * FROM {table}"))
            for value in found
        ]
    engine.dispose()
    assert not [text for text in texts for each in (*SECRET, "Bob Reviewer", "Cem Example") if each in text]
    with (
        closing(open_records(records_url)) as without,
        pytest.raises(AdjudicationError, match="names in these records"),
    ):
        without.stored()


def test_encrypted_records_forget_in_time_and_a_destroyed_key_does_it_alone(
    records: Records, audit: AuditLog, keys: ErasureKeys, tmp_path: Path
) -> None:
    review = decided(records, audit)
    assert records.erase(now=now_utc() + DAY) == 1
    assert review.alert("a1").entry is None
    assert records.forget(now=now_utc() + 31 * DAY) == 1
    case = review.alert("a1").case
    assert [each.adjudicator for each in case.adjudications] == ["(erased 1)", "(erased 2)"]
    queue(records, audit, id_="a2", entry="Grace")
    made = len(keys.ends())
    assert made >= 2
    assert sweep(keys, now=now_utc() + 40 * DAY) == made
    assert list((tmp_path / "keys").iterdir()) == []


def test_an_encrypted_name_that_was_changed_or_moved_is_named_as_a_difference(
    records: Records, audit: AuditLog, records_url: str
) -> None:
    review = decided(records, audit)
    queue(records, audit, id_="a2", entry="Grace Hopper")
    engine = sa.create_engine(records_url)
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE alerts SET entry = (SELECT entry FROM alerts WHERE id = 'a2') WHERE id = 'a1'")
        )
    engine.dispose()
    [difference] = review.alert("a1").differences
    assert "who was matched is not the one that the log has" in difference.what
    assert review.alert("a2").differences == ()


def test_what_postgresql_copied_elsewhere_names_nobody(
    postgres_server: Postgres, tmp_path: Path, audit: AuditLog
) -> None:
    """The write-ahead log, a dump made before the deadline, and the files of the tables."""
    url, clock = postgres_server.new_url(), Clock(now_utc())
    base = sa.make_url(url).database
    with closing(open_records(url, keys=keys_in(tmp_path / "keys", clock))) as records:
        review = decided(records, audit)
        assert review.alert("a1").entry == SECRET[0]
    dump = subprocess.run(
        [program("pg_dump"), "-h", postgres_server.folder, "-U", "pylfr", str(base)], check=True, capture_output=True
    ).stdout
    copies = dump + everything_of(postgres_server)
    assert b"sealed:" in copies
    for secret in SECRET:
        assert secret.encode() not in copies, secret
    # What there is can be read with the keys alone: once they are destroyed, by nobody, whoever has the dump.
    clock.now += 40 * DAY
    keys = keys_in(tmp_path / "keys", clock)
    assert sweep(keys, now=clock()) == 2
    assert list((tmp_path / "keys").iterdir()) == []
    with closing(open_records(url, keys=keys)) as records:
        stored = records.stored()
    assert [row.entry for row in stored.alerts] == [None]
    assert {row.by for row in stored.decisions} == {"(erased 1)", "(erased 2)"}
    assert {(row.reason, row.key, row.signature) for row in stored.decisions} == {("", None, None)}


def everything_of(server: Postgres) -> bytes:
    """Every file of the server: tables, write-ahead log, temporary files and its own log."""
    return b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file())
