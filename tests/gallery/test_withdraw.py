"""Somebody is taken off a sealed watchlist: a running gallery follows, the signed list stays the signed list."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylfr.errors import WatchlistError
from pylfr.gallery import storage
from pylfr.gallery.contents import read_contents
from pylfr.gallery.live import open_gallery
from pylfr.gallery.sealed import seal_watchlist
from pylfr.gallery.watchlist import open_watchlist
from pylfr.gallery.withdraw import withdraw
from pylfr.governance.keys import SigningKey
from pylfr.governance.manifest import note_withdrawn, read_manifest, write_manifest
from pylfr.governance.vault import VaultKey, make_vault_key
from tests.gallery.test_sealed import MODEL, enrolled

NAMES = ("Ada Lovelace", "Grace Hopper")


@pytest.fixture
def key(tmp_path: Path) -> VaultKey:
    return make_vault_key(tmp_path / "vault.key", expires_at=storage.now() + timedelta(hours=1))


@pytest.fixture
def sealed(tmp_path: Path, key: VaultKey) -> Path:
    enrolled(tmp_path / "plain.watchlist", NAMES)
    seal_watchlist(tmp_path / "plain.watchlist", tmp_path / "sealed", key)
    return tmp_path / "sealed"


def test_who_is_withdrawn_is_gone_and_the_list_is_still_the_one_that_was_signed(sealed: Path, key: VaultKey) -> None:
    before = read_contents(sealed, key)
    done = withdraw(sealed, key, NAMES[0])
    after = read_contents(sealed, key)
    assert (done.references, done.revision) == (1, 2)
    assert (len(before), len(after)) == (2, 1)
    assert (after.digest, after.signed_size) == (before.digest, before.signed_size)
    assert after.references < before.references
    with open_watchlist(sealed, key=key) as opened:
        assert [entry.name for entry in opened.entries()] == ["Grace Hopper"]


def test_a_running_gallery_follows_a_withdrawal(sealed: Path, key: VaultKey) -> None:
    authorised = read_contents(sealed, key).references
    gallery = open_gallery(sealed, model=MODEL, key=key, poll_ms=0.001, authorised=authorised)
    assert (gallery.revision, len(gallery)) == (1, 2)
    withdraw(sealed, key, NAMES[0])
    gallery.refresh()
    assert (gallery.revision, len(gallery)) == (2, 1)
    with pytest.raises(KeyError):
        gallery.snapshot().reference(1)


def test_the_last_one_can_be_withdrawn(sealed: Path, key: VaultKey) -> None:
    for name in NAMES:
        withdraw(sealed, key, name)
    assert len(read_contents(sealed, key)) == 0
    assert len(open_gallery(sealed, model=MODEL, key=key)) == 0


def test_an_older_copy_that_is_put_back_stops_whoever_follows(tmp_path: Path, sealed: Path, key: VaultKey) -> None:
    shutil.copy(sealed, tmp_path / "before")
    withdraw(sealed, key, NAMES[0])
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
    tmp_path: Path, sealed: Path, key: VaultKey
) -> None:
    before = sealed.read_bytes()
    with pytest.raises(WatchlistError, match="has no entry 'Nobody'"):
        withdraw(sealed, key, "Nobody")
    with pytest.raises(WatchlistError, match="is not sealed"):
        withdraw(tmp_path / "plain.watchlist", key, NAMES[0])
    assert sealed.read_bytes() == before


def test_a_sealed_list_that_is_opened_is_read_only(sealed: Path, key: VaultKey) -> None:
    with open_watchlist(sealed, key=key) as opened, pytest.raises(WatchlistError, match="readonly"):
        opened.remove(NAMES[0])


def test_the_manifest_answers_for_who_was_withdrawn(tmp_path: Path, sealed: Path, key: VaultKey) -> None:
    signing, other = (SigningKey(Ed25519PrivateKey.generate()) for _ in range(2))
    listed = tmp_path / "listed.json"
    contents = read_contents(sealed, key)
    write_manifest(listed, watchlist=contents.digest, references=NAMES, key=signing, origins=contents.origins)
    at = storage.now().replace(microsecond=0)
    note_withdrawn(listed, NAMES[0], at=at, key=signing)
    sealed.unlink()
    read = read_manifest(listed, signing.public)
    assert read.holds(NAMES[0])
    assert read.withdrawn_at("ada  lovelace") == at
    assert read.holds(NAMES[1])
    assert read.withdrawn_at(NAMES[1]) is None
    assert (read.references, read.reviewed, read.enrollers) == (2, 0, 0)
    with pytest.raises(WatchlistError, match="another key"):
        note_withdrawn(listed, NAMES[1], at=at, key=other)
    with pytest.raises(WatchlistError, match="does not hold 'Mary'"):
        note_withdrawn(listed, "Mary", at=at, key=signing)
    assert b"Ada" not in listed.read_bytes()
