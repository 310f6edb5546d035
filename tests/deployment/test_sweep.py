"""What is over goes, by a clock of the test's own: at the sweeper's hand, or at the next start after a crash."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pylfr._internal.atomic_file import PART
from pylfr._internal.steady_clock import system_now
from pylfr.deployment.config import Deployment, read_deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.retention import retained
from pylfr.deployment.signed_settings import signed_settings
from pylfr.deployment.sweep import Forgotten, forget_expired
from pylfr.gallery.watchlist.digests import read_contents
from pylfr.gallery.watchlist.sealed import seal_watchlist
from pylfr.gallery.watchlist.withdrawal import ListedFiles, withdraw
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import parse_entry, read_log
from pylfr.governance.authorisation.profiles import profile_names, read_profile
from pylfr.governance.authorisation.signed import sign_authorisation
from pylfr.governance.keys.keys import make_key, read_signing_key
from pylfr.governance.keys.vault import make_vault_key, read_vault_key
from pylfr.governance.retention.sweeper import RetentionPolicy, write_sealed
from pylfr.sinks.jsonl import open_jsonl
from tests.deployment_text import SIGNED_DEPLOYMENT
from tests.gallery.watchlist.test_sealed import enrolled
from tests.governance.reviews import enter, signed_log
from tests.governance.samples import NOON, authorisation
from tests.samples import sample_alert

NOTHING = Forgotten(pictures=0, alerts=0, keys=())
LATE = NOON + timedelta(days=2)
END = NOON + timedelta(hours=6)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(signed_log(tmp_path, clock=lambda: NOON)) as opened:
        yield opened


def deployed(folder: Path, log: AuditLog, *, urgent: bool = True, profile: str = "eu-leo") -> Deployment:
    """A deployment at noon with one alert, its sealed picture, and keys that live until two days later."""
    make_key(folder / "officer.key")
    policy = RetentionPolicy.of(read_profile(profile))
    words = authorisation(profile=profile, urgent=urgent) if urgent else authorisation(profile=profile, ends_at=LATE)
    (folder / "authorisation.json").write_bytes(sign_authorisation(words, (read_signing_key(folder / "officer.key"),)))
    (folder / "deployment.toml").write_text(SIGNED_DEPLOYMENT.replace("eu-leo", profile))
    deployment = read_deployment(folder / "deployment.toml")
    (folder / "evidence").mkdir()
    make_vault_key(folder / "square.key", expires_at=LATE)
    key = make_vault_key(folder / "evidence.key", expires_at=LATE)
    write_sealed(folder / "evidence", "a1", b"a face, as it were", key, erase_at=NOON + policy.alerts)
    with Resources(deployment, now=NOON) as resources:
        records = resources.require_records()
        recorded = log.record(replace(sample_alert(entry="Ada"), id="a1"))
        enter(records, recorded, retention=policy.alerts, outcomes=policy.outcomes)
    line = {"type": "alert", "entry": "Ada", "recorded_at": NOON.isoformat()}
    (folder / "alerts.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "open").mkdir()
    (folder / "open" / "20260111T120000000-north-7-a1a1a1a1.jpg").write_bytes(b"a face, as it were")
    os.utime(folder / "open" / "20260111T120000000-north-7-a1a1a1a1.jpg", (NOON.timestamp(), NOON.timestamp()))
    return deployment


def swept(deployment: Deployment, log: AuditLog, now: datetime) -> Forgotten:
    with Resources(deployment, now=now, audit=log) as resources:
        return forget_expired(resources)


def confirm(folder: Path, *, reference: str, by: str = "officer.key") -> None:
    words = authorisation(profile="eu-leo", confirms=reference, ends_at=LATE)
    (folder / "confirmed.json").write_bytes(sign_authorisation(words, (read_signing_key(folder / by),)))


def left(folder: Path) -> set[str]:
    return {path.name for path in [*folder.glob("*.key"), *(folder / "evidence").iterdir()]} - {
        "officer.key",
        "operator.key",
        "record.key",
    }


@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=17)])
def test_before_its_time_nothing_goes(tmp_path: Path, log: AuditLog, later: timedelta) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    assert swept(deployment, log, NOON + later) == NOTHING
    assert left(tmp_path) == {"square.key", "evidence.key", "a1.sealed"}


def test_everything_goes_at_its_time_and_the_log_says_so(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    assert swept(deployment, log, NOON + timedelta(hours=24)) == Forgotten(pictures=2, alerts=1, keys=(), lines=1)
    gone = swept(deployment, log, NOON + timedelta(days=2))
    assert set(gone.keys) == {"square.key", "evidence.key"}
    assert left(tmp_path) == set()
    assert swept(deployment, log, NOON + timedelta(days=3)) == NOTHING
    assert b"Ada" not in (tmp_path / "alerts.jsonl").read_bytes()
    assert list((tmp_path / "open").iterdir()) == []
    assert swept(deployment, log, NOON + timedelta(days=500)).outcomes == 1
    kinds = [parse_entry(line).kind for line in (tmp_path / "audit.log").read_bytes().splitlines()]
    assert kinds == ["alert", "erased", "erased", "erased"]
    assert list(read_log((tmp_path / "audit.log").read_bytes()).flaws) == []


@pytest.mark.parametrize("profile", profile_names())
def test_what_is_published_is_what_is_enforced_to_the_minute(profile: str, tmp_path: Path, log: AuditLog) -> None:
    """The times are read from the published sentences; nothing goes a minute before them or stays a minute after."""
    published = " ".join(RetentionPolicy.of(read_profile(profile)).sentences())
    alerts = length(found(r"erased ([\d.]+ (?:h|days)) after the alert", published))
    outcomes = timedelta(days=int(found(r"is erased (\d+) days after it", published)))
    deployment = deployed(tmp_path, log, urgent=False, profile=profile)
    minute = timedelta(minutes=1)

    def kept() -> tuple[bool, bool, bool]:
        with Resources(deployment, now=NOON) as resources:
            [alert] = resources.require_records().stored().alerts
        line = b"Ada" in (tmp_path / "alerts.jsonl").read_bytes()
        return alert.entry is not None, line, (tmp_path / "open" / "20260111T120000000-north-7-a1a1a1a1.jpg").exists()

    swept(deployment, log, NOON + alerts - minute)
    assert kept() == (True, True, True)
    swept(deployment, log, NOON + alerts + minute)
    assert kept() == (False, False, False)
    assert swept(deployment, log, NOON + outcomes - minute).outcomes == 0
    assert swept(deployment, log, NOON + outcomes + minute).outcomes == 1


def test_keys_of_names_in_the_records_go_at_their_time_also_where_the_database_is_away(
    tmp_path: Path, log: AuditLog
) -> None:
    place = tmp_path / "deployment.toml"
    deployed(tmp_path, log, urgent=False)
    (tmp_path / "records.sqlite").unlink()
    place.write_text(place.read_text().replace("[records]", '[records]\nkeys = "names.keys"'))
    deployment = read_deployment(place)
    with Resources(deployment, now=NOON) as resources:
        enter(resources.require_records(), log.record(replace(sample_alert(entry="Ada"), id="a2")))
        assert [row.entry for row in resources.require_records().stored().alerts] == ["Ada"]
    [key] = (tmp_path / "names.keys").iterdir()
    assert b"Ada" not in (tmp_path / "records.sqlite").read_bytes()
    (tmp_path / "records.sqlite").unlink()
    (tmp_path / "records.sqlite").mkdir()
    # The clock of the test has no part in it: the key ends with the hour that it is now.
    gone = swept(deployment, log, system_now() + timedelta(hours=2))
    assert key.name in gone.keys
    assert not key.exists()
    assert "records" in " ".join(gone.left)


def test_a_deadline_that_was_moved_in_a_keys_file_does_not_keep_the_key(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    for name in ("square.key", "evidence.key"):
        path = tmp_path / name
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "expires_at": "2099-01-01T00:00:00.000Z"}))
    policy = RetentionPolicy.of(read_profile("eu-leo"))
    assert swept(deployment, log, LATE + min(policy.watchlist, policy.alerts) - timedelta(minutes=1)).keys == ()
    gone = swept(deployment, log, LATE + max(policy.watchlist, policy.alerts))
    assert set(gone.keys) == {"square.key", "evidence.key"}


def length(words: str) -> timedelta:
    number, unit = words.split()
    return timedelta(hours=float(number)) if unit == "h" else timedelta(days=float(number))


def found(pattern: str, words: str) -> str:
    match = re.search(pattern, words)
    assert match is not None, words
    return match[1]


def test_a_provisional_authorisation_that_nobody_confirms_takes_everything_with_it(
    tmp_path: Path, log: AuditLog
) -> None:
    deployment = deployed(tmp_path, log)
    assert swept(deployment, log, END - timedelta(seconds=1)) == NOTHING
    gone = swept(deployment, log, END)
    assert (gone.pictures, gone.alerts, gone.lines, gone.outcomes) == (2, 1, 1, 1)
    assert set(gone.keys) == {"square.key", "evidence.key"}
    assert left(tmp_path) == set()
    assert b"was not confirmed" in (tmp_path / "audit.log").read_bytes()


def test_a_later_authorisation_that_confirms_it_keeps_what_it_found(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log)
    confirm(tmp_path, reference=authorisation(profile="eu-leo", urgent=True).reference)
    assert swept(deployment, log, END) == NOTHING


def test_a_confirmation_by_anybody_but_the_officer_does_not_count(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log)
    make_key(tmp_path / "operator.key")
    confirm(tmp_path, reference=authorisation(profile="eu-leo", urgent=True).reference, by="operator.key")
    assert swept(deployment, log, END) != NOTHING


def test_one_that_confirms_another_does_not(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log)
    confirm(tmp_path, reference="another")
    assert swept(deployment, log, END) != NOTHING


def test_half_a_line_goes_once_nobody_writes_it_any_more(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    path = tmp_path / "alerts.jsonl"
    whole = path.read_bytes()
    writer = open_jsonl(path)
    with path.open("ab") as file:
        file.write(b'{"type": "alert", "entry": "Grace Ho')
    assert swept(deployment, log, NOON) == NOTHING
    writer.close()
    assert swept(deployment, log, NOON).lines == 1
    assert path.read_bytes() == whole


def test_a_list_that_a_crash_left_half_erased_goes_at_the_next_start(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    (tmp_path / f".square.watchlist{PART}").write_bytes(b"a template")
    assert swept(deployment, log, NOON).unfinished == 1
    assert not list(tmp_path.glob(".*"))
    assert b'"unfinished":1' in (tmp_path / "audit.log").read_bytes()


def test_a_withdrawal_that_a_crash_cut_short_is_finished_by_the_sweep(
    tmp_path: Path, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    key = read_vault_key(tmp_path / "square.key", now=NOON)
    enrolled(tmp_path / "plain.watchlist")
    seal_watchlist(tmp_path / "plain.watchlist", tmp_path / "square.sealed", key)
    files = ListedFiles(sealed=tmp_path / "square.sealed")
    with monkeypatch.context() as patched:
        patched.delattr("pylfr.gallery.watchlist.withdrawal.write_whole")
        with pytest.raises(NameError):
            withdraw(files, key, "Ada Lovelace", by="Dee", because="it ended", audit=log)
    assert len(read_contents(tmp_path / "square.sealed", key)) == 2
    swept(deployment, log, NOON)
    assert len(read_contents(tmp_path / "square.sealed", key)) == 1
    assert len(list(log.entries("withdrawal-finished"))) == 1


PRECIOUS = {
    "a person's signing key": lambda folder: folder / "officer.key",
    "the audit log": lambda folder: folder / "audit.log",
    "the deployment file": lambda folder: folder / "deployment.toml",
    "the authorisation": lambda folder: folder / "authorisation.json",
}


@pytest.mark.parametrize("what", PRECIOUS)
@pytest.mark.parametrize("setting", ["key", "path"])
def test_a_setting_that_names_another_file_by_mistake_destroys_nothing(
    tmp_path: Path, log: AuditLog, what: str, setting: str
) -> None:
    deployed(tmp_path, log, urgent=False)
    precious = PRECIOUS[what](tmp_path)
    named = {"key": 'key = "evidence.key"', "path": 'path = "alerts.jsonl"'}[setting]
    text = (tmp_path / "deployment.toml").read_text().replace(named, f'{setting} = "{precious.name}"')
    other = tmp_path / "other.toml"
    other.write_text(text)
    before = precious.read_bytes()
    gone = swept(read_deployment(other), log, LATE + timedelta(days=40))
    assert precious.read_bytes().startswith(before)
    (said,) = gone.left
    assert str(precious) in said
    assert "left as it is" in said
    # The rest went all the same.
    assert gone.pictures == 2
    assert "square.key" in gone.keys


@pytest.mark.parametrize("urgent", [False, True], ids=["ended", "revoked"])
def test_what_belongs_to_another_deployment_is_left_until_its_own_deadline(
    tmp_path: Path, log: AuditLog, urgent: bool
) -> None:
    """A deployment file that was copied and changed by half: the other one's files are of pylfr's format too."""
    deployment = deployed(tmp_path, log, urgent=urgent)
    other = tmp_path / "other"
    (other / "evidence").mkdir(parents=True)
    (other / "open").mkdir()
    week = NOON + timedelta(days=7)
    keys = [make_vault_key(other / f"{name}.key", expires_at=week) for name in ("square", "evidence")]
    write_sealed(other / "evidence", "b1", b"another face", keys[1], erase_at=week)
    for name in ("alerts.jsonl", "open/20260111T120000000-north-7-a1a1a1a1.jpg"):
        shutil.copy2(tmp_path / name, other / name)
    before = {path: path.read_bytes() for path in other.rglob("*") if path.is_file()}
    words = authorisation(
        profile="eu-leo", urgent=urgent, **({} if urgent else {"ends_at": LATE}),
        settings=signed_settings(deployment, record_key=None, watchlist_key=None),
    )  # fmt: skip
    signers = (read_signing_key(tmp_path / "officer.key"),)
    (tmp_path / "authorisation.json").write_bytes(sign_authorisation(words, signers))
    text = (tmp_path / "deployment.toml").read_text()
    for setting in ('key = "', 'folder = "', 'path = "alerts'):
        assert setting in text
        text = text.replace(setting, setting.replace('"', '"other/'))
    text = text.replace("other/record.key", "record.key")
    (tmp_path / "mistaken.toml").write_text(text)
    mistaken = read_deployment(tmp_path / "mistaken.toml")
    late = LATE + timedelta(days=3)
    with Resources(mistaken, now=late, audit=log) as resources:
        shown = [each for each in retained(resources) if str(other) in each.place]
    assert shown
    assert not [each for each in shown if each.until is not None and each.until <= late]
    gone = swept(mistaken, log, late)
    assert gone.keys == ()
    assert {path: path.read_bytes() for path in other.rglob("*") if path.is_file()} == before
    for name in ("square.key", "evidence.key", "evidence", "open", "alerts.jsonl"):
        [said] = [each for each in gone.left if each.startswith(f"{other / name} ")]
        assert "not what the authorisation was signed for" in said
    # What is its own goes as ever, and what is not goes at the deadline that is written into it.
    assert set(swept(deployment, log, late).keys) == {"square.key", "evidence.key"}
    assert set(swept(mistaken, log, week).keys) == {"square.key", "evidence.key"}
    assert not (other / "evidence" / "b1.sealed").exists()


@pytest.mark.parametrize("odd", ["folder", "pipe", "link"])
def test_odd_things_are_named_and_the_rest_is_erased(tmp_path: Path, log: AuditLog, odd: str) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    precious = tmp_path / "portrait.png"
    precious.write_bytes(b"a portrait")
    (tmp_path / "evidence.key").unlink()
    for place in (tmp_path / "evidence.key", tmp_path / "evidence" / "odd.sealed"):
        if odd == "folder":
            place.mkdir()
        elif odd == "pipe":
            os.mkfifo(place)
        else:
            place.symlink_to(precious)
    gone = swept(deployment, log, LATE + timedelta(days=40))
    assert len(gone.left) == 1
    assert "evidence.key" in gone.left[0]
    assert gone.keys == ("square.key",)
    assert gone.pictures == 2
    assert precious.read_bytes() == b"a portrait"
    assert (tmp_path / "evidence" / "odd.sealed").exists() or (tmp_path / "evidence" / "odd.sealed").is_symlink()


def test_pictures_of_others_in_the_folder_are_left(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    holiday = tmp_path / "open" / "holiday.jpg"
    holiday.write_bytes(b"a beach")
    os.utime(holiday, (NOON.timestamp(), NOON.timestamp()))
    sealed = tmp_path / "evidence" / "letter.sealed"
    sealed.write_bytes(b"sealed by somebody else")
    swept(deployment, log, LATE + timedelta(days=40))
    assert holiday.exists()
    assert sealed.exists()


@pytest.mark.parametrize("cut", [1, 40, 150])
def test_a_key_that_a_crash_left_half_written_or_half_destroyed_goes(tmp_path: Path, log: AuditLog, cut: int) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    key = tmp_path / "evidence.key"
    for content in (key.read_bytes()[:cut], b"pylfr-vault-key destroyed 0f0f"):
        if len(content) < 15:
            continue
        key.write_bytes(content)
        gone = swept(deployment, log, NOON)
        assert gone.keys == ("evidence.key",)
        assert not key.exists()


def test_a_document_of_others_that_begins_like_a_key_is_left(tmp_path: Path, log: AuditLog) -> None:
    deployment = deployed(tmp_path, log, urgent=False)
    (tmp_path / "evidence.key").write_text('{"expires_at":"2026-01-11","format":"somebody else\'s"}')
    gone = swept(deployment, log, LATE + timedelta(days=40))
    assert (tmp_path / "evidence.key").exists()
    assert len(gone.left) == 1
