"""Somebody is taken off a sealed watchlist: a running gallery follows, the signed list stays the signed list."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylfr._internal.canonical_json import Plain
from pylfr.errors import AuditError, WatchlistError
from pylfr.gallery.index.reloading import open_gallery
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import read_contents
from pylfr.gallery.watchlist.sealed import seal_watchlist, sealed_revision
from pylfr.gallery.watchlist.watchlist import open_watchlist
from pylfr.gallery.watchlist.withdrawal import ListedFiles, Withdrawal, finish_withdrawals, withdraw
from pylfr.gallery.watchlist.withdrawn import WithdrawnEntries
from pylfr.governance.audit.audit import AuditLog, open_audit
from pylfr.governance.audit.chain import LogEntry, parse_entry
from pylfr.governance.keys.keys import SigningKey
from pylfr.governance.keys.vault import VaultKey, make_vault_key
from pylfr.governance.retention.past_listing import note_withdrawn, read_manifest, write_manifest
from pylfr.types import Event
from tests.gallery.watchlist.test_sealed import MODEL, enrolled
from tests.governance.reviews import signed_log

NAMES = ("Ada Lovelace", "Grace Hopper")


@pytest.fixture
def key(tmp_path: Path) -> VaultKey:
    return make_vault_key(tmp_path / "vault.key", expires_at=sqlite_file.now() + timedelta(hours=1))


@pytest.fixture
def sealed(tmp_path: Path, key: VaultKey) -> Path:
    enrolled(tmp_path / "plain.watchlist", NAMES)
    seal_watchlist(tmp_path / "plain.watchlist", tmp_path / "sealed", key)
    return tmp_path / "sealed"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(signed_log(tmp_path)) as opened:
        yield opened


def taken_off(path: Path, key: VaultKey, name: str, log: AuditLog) -> Withdrawal:
    return withdraw(ListedFiles(sealed=path), key, name, by="Dee", because="the warrant was withdrawn", audit=log).value


class CutError(Exception):
    """Stands for a power cut."""


def cut(path: Path, content: bytes) -> None:
    raise CutError


def test_who_is_withdrawn_is_gone_and_the_list_is_still_the_one_that_was_signed(
    sealed: Path, key: VaultKey, log: AuditLog
) -> None:
    before = read_contents(sealed, key)
    done = taken_off(sealed, key, NAMES[0], log)
    after = read_contents(sealed, key)
    assert (done.references, done.revision) == (1, 2)
    assert (len(before), len(after)) == (2, 1)
    assert (after.digest, after.signed_size) == (before.digest, before.signed_size)
    assert after.references < before.references
    with open_watchlist(sealed, key=key) as opened:
        assert [entry.name for entry in opened.entries()] == ["Grace Hopper"]


def test_a_withdrawal_is_read_back_from_the_file(
    sealed: Path, key: VaultKey, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes the file and keeps the old one does not pass for a withdrawal, which is finished later."""
    monkeypatch.setattr("pylfr.gallery.watchlist.withdrawal.write_whole", lambda *_: None)
    with pytest.raises(WatchlistError, match=r"entry 1 of watchlist .* cannot be removed: 2 rows are left of it"):
        taken_off(sealed, key, NAMES[0], log)
    with pytest.raises(WatchlistError, match="entry 1 of watchlist"):
        finish_withdrawals(ListedFiles(sealed=sealed), lambda: key, log)
    monkeypatch.undo()
    finished = finish_withdrawals(ListedFiles(sealed=sealed), lambda: key, log)
    assert finished is not None
    assert len(read_contents(sealed, key)) == 1


def test_a_running_gallery_follows_a_withdrawal(sealed: Path, key: VaultKey, log: AuditLog) -> None:
    authorised = read_contents(sealed, key).references
    gallery = open_gallery(sealed, model=MODEL, key=key, poll_ms=0.001, authorised=authorised)
    assert (gallery.revision, len(gallery)) == (1, 2)
    taken_off(sealed, key, NAMES[0], log)
    gallery.refresh()
    assert (gallery.revision, len(gallery)) == (2, 1)
    with pytest.raises(KeyError):
        gallery.snapshot().reference(1)


def test_the_last_one_can_be_withdrawn(sealed: Path, key: VaultKey, log: AuditLog) -> None:
    for name in NAMES:
        taken_off(sealed, key, name, log)
    assert len(read_contents(sealed, key)) == 0
    assert len(open_gallery(sealed, model=MODEL, key=key)) == 0


def test_an_older_copy_that_is_put_back_stops_whoever_follows(
    tmp_path: Path, sealed: Path, key: VaultKey, log: AuditLog
) -> None:
    shutil.copy(sealed, tmp_path / "before")
    taken_off(sealed, key, NAMES[0], log)
    gallery = open_gallery(sealed, model=MODEL, key=key, poll_ms=0.001)
    shutil.copy(tmp_path / "before", sealed)
    with pytest.raises(WatchlistError, match="older one than before"):
        gallery.refresh()


def test_a_header_that_lies_about_its_revision_does_not_open(sealed: Path, key: VaultKey) -> None:
    gallery = open_gallery(sealed, model=MODEL, key=key, poll_ms=0.001)
    header, *rows = sealed.read_bytes().splitlines(keepends=True)
    assert header.count(b",1,") == 1
    sealed.write_bytes(header.replace(b",1,", b",9,") + b"".join(rows))
    with pytest.raises(WatchlistError, match="cannot be opened"):
        gallery.refresh()


def test_nobody_of_that_name_and_a_plain_list_are_refused_and_nothing_changes(
    tmp_path: Path, sealed: Path, key: VaultKey, log: AuditLog
) -> None:
    before = sealed.read_bytes()
    with pytest.raises(WatchlistError, match="has no entry 'Nobody'"):
        taken_off(sealed, key, "Nobody", log)
    with pytest.raises(WatchlistError, match="is not sealed"):
        taken_off(tmp_path / "plain.watchlist", key, NAMES[0], log)
    assert sealed.read_bytes() == before


def test_a_sealed_list_that_is_opened_is_read_only(sealed: Path, key: VaultKey) -> None:
    with open_watchlist(sealed, key=key) as opened, pytest.raises(WatchlistError, match="readonly"):
        opened.remove(NAMES[0])


def test_a_withdrawal_that_a_crash_cut_short_is_recorded_and_finished_once(
    sealed: Path, key: VaultKey, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sealed.read_bytes()
    monkeypatch.setattr("pylfr.gallery.watchlist.withdrawal.write_whole", cut)
    with pytest.raises(CutError):
        taken_off(sealed, key, NAMES[0], log)
    monkeypatch.undo()
    [intended] = log.entries("withdrawn")
    assert (sealed.read_bytes(), list(log.entries("withdrawal-finished"))) == (before, [])
    done = finish_withdrawals(ListedFiles(sealed=sealed), lambda: key, log)
    assert done is not None
    assert (done.references, done.revision) == (1, intended.details["watchlist_revision"])
    with open_watchlist(sealed, key=key) as opened:
        assert [entry.name for entry in opened.entries()] == [NAMES[1]]
    [finished] = log.entries("withdrawal-finished")
    assert finished.details["entries"] == str(intended.sequence)
    assert finish_withdrawals(ListedFiles(sealed=sealed), lambda: pytest.fail("nothing is left to do"), log) is None


def test_who_cannot_be_recorded_is_not_withdrawn(sealed: Path, key: VaultKey, log: AuditLog) -> None:
    before = sealed.read_bytes()
    log.close()
    with pytest.raises(AuditError, match="is closed"):
        taken_off(sealed, key, NAMES[0], log)
    assert sealed.read_bytes() == before


def test_everybody_who_was_withdrawn_is_taken_off_an_older_copy_that_is_put_back(
    tmp_path: Path, sealed: Path, key: VaultKey, log: AuditLog
) -> None:
    shutil.copy(sealed, tmp_path / "before")
    for name in NAMES:
        taken_off(sealed, key, name, log)
    revision = sealed_revision(sealed)
    shutil.copy(tmp_path / "before", sealed)
    done = finish_withdrawals(ListedFiles(sealed=sealed), lambda: key, log)
    assert done is not None
    assert (done.references, sealed_revision(sealed)) == (2, revision)
    assert len(read_contents(sealed, key)) == 0
    [finished] = log.entries("withdrawal-finished")
    assert finished.details["entries"] == "1 2"


def test_somebody_who_was_withdrawn_is_not_looked_for_whatever_file_is_there(
    tmp_path: Path, sealed: Path, key: VaultKey, log: AuditLog
) -> None:
    """Sealed again from the plain list, as a newer revision and under other numbers: by whoever holds the key."""
    withdrawn = WithdrawnEntries(log)
    taken_off(sealed, key, NAMES[0], log)
    gallery = open_gallery(sealed, model=MODEL, key=key, poll_ms=0.001, withdrawn=withdrawn)
    with closing(sqlite_file.connect(tmp_path / "plain.watchlist")) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("UPDATE watchlist SET revision = 9")
        connection.execute("UPDATE entries SET id = 7 WHERE id = 1")
        connection.execute("UPDATE reference_images SET entry = 7 WHERE entry = 1")
    sealed.unlink()
    seal_watchlist(tmp_path / "plain.watchlist", sealed, key)
    assert finish_withdrawals(ListedFiles(sealed=sealed), lambda: key, log) is None
    gallery.refresh()
    assert (gallery.revision, len(gallery)) == (9, 1)
    with pytest.raises(KeyError):
        gallery.snapshot().reference(7)
    with pytest.raises(WatchlistError, match="holds 1 entries that were withdrawn"):
        open_gallery(sealed, model=MODEL, key=key, withdrawn=withdrawn)


def test_a_withdrawal_counts_as_soon_as_it_is_logged_though_the_file_still_holds_them(
    sealed: Path, key: VaultKey, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = open_gallery(sealed, model=MODEL, key=key, poll_ms=0.001, withdrawn=WithdrawnEntries(log))
    monkeypatch.setattr("pylfr.gallery.watchlist.withdrawal.write_whole", cut)
    with pytest.raises(CutError):
        taken_off(sealed, key, NAMES[0], log)
    gallery.refresh()
    assert len(gallery) == 1


def test_nobody_is_taken_off_by_an_entry_that_nobody_signed(
    tmp_path: Path, sealed: Path, key: VaultKey, log: AuditLog
) -> None:
    log.note(Event(kind="tick", details={}))
    forge_withdrawal(tmp_path, read_identity(sealed))
    withdrawn = WithdrawnEntries(log)
    assert finish_withdrawals(ListedFiles(sealed=sealed), lambda: pytest.fail("nothing is to be done"), log) is None
    assert len(open_gallery(sealed, model=MODEL, key=key, withdrawn=withdrawn)) == 2
    with closing(open_audit(tmp_path / "plain.log")) as plain:
        with pytest.raises(WatchlistError, match="a log that is not signed"):
            taken_off(sealed, key, NAMES[0], plain)
        assert WithdrawnEntries(plain).all() == ()


def read_identity(sealed: Path) -> str:
    return sealed_revision(sealed)[0]


def forge_withdrawal(folder: Path, identity: str) -> None:
    """What somebody can write who has not the record's key."""
    last = parse_entry((folder / "audit.log").read_bytes().splitlines()[-1])
    details: dict[str, Plain] = {"watchlist": identity, "entry": 1, "watchlist_revision": 2, "references": 1}
    forged = LogEntry(sequence=last.sequence + 1, at=last.at, kind="withdrawn", details=details, previous=last.digest)
    with (folder / "audit.log").open("ab") as file:
        file.write(forged.line())


def test_a_plain_list_in_the_place_of_a_sealed_one_is_not_followed(tmp_path: Path, sealed: Path, key: VaultKey) -> None:
    gallery = open_gallery(sealed, model=MODEL, key=key, poll_ms=0.001)
    shutil.copy(tmp_path / "plain.watchlist", sealed)
    with pytest.raises(WatchlistError, match="is not sealed, and a key is named for it"):
        gallery.refresh()
    with pytest.raises(WatchlistError, match="is not sealed, and a key is named for it"):
        open_gallery(sealed, model=MODEL, key=key)


def test_the_manifest_answers_for_who_was_withdrawn_also_after_a_crash(
    tmp_path: Path, sealed: Path, key: VaultKey, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing, other = (SigningKey(Ed25519PrivateKey.generate()) for _ in range(2))
    listed, wrong = tmp_path / "listed.json", tmp_path / "wrong.json"
    contents = read_contents(sealed, key)
    write_manifest(listed, watchlist=contents.digest, references=NAMES, key=signing, origins=contents.origins)
    write_manifest(wrong, watchlist=contents.digest, references=["Mary"], key=signing)
    for manifest, signer, error in ((listed, other, "another key"), (wrong, signing, "does not hold 'Ada Lovelace'")):
        files = ListedFiles(sealed=sealed, manifest=manifest, signing=signer)
        with pytest.raises(WatchlistError, match=error):
            withdraw(files, key, NAMES[0], by="Dee", because="it ended", audit=log)
    assert list(log.entries("withdrawn")) == []
    files = ListedFiles(sealed=sealed, manifest=listed, signing=signing)
    monkeypatch.setattr("pylfr.gallery.watchlist.withdrawal._note", lambda *_: cut(sealed, b""))
    with pytest.raises(CutError):
        withdraw(files, key, NAMES[0], by="Dee", because="it ended", audit=log)
    monkeypatch.undo()
    assert finish_withdrawals(files, lambda: key, log) is not None
    [intended] = log.entries("withdrawn")
    sealed.unlink()
    read = read_manifest(listed, signing.public)
    assert read.holds(NAMES[0])
    assert read.withdrawn_at("ada  lovelace") == intended.at
    assert read.holds(NAMES[1])
    assert read.withdrawn_at(NAMES[1]) is None
    assert (read.references, read.reviewed, read.enrollers) == (2, 0, 0)
    assert b"Ada" not in listed.read_bytes()


def test_note_withdrawn_refuses_whom_the_manifest_does_not_hold(tmp_path: Path) -> None:
    signing = SigningKey(Ed25519PrivateKey.generate())
    write_manifest(tmp_path / "listed.json", watchlist="", references=NAMES, key=signing)
    with pytest.raises(WatchlistError, match="does not hold 'Mary'"):
        note_withdrawn(tmp_path / "listed.json", "Mary", at=sqlite_file.now(), key=signing)
