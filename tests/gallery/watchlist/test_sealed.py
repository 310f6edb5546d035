"""A sealed watchlist shows nobody to whoever has no key, and lets no row be moved, left out or put back."""

from __future__ import annotations

import json
import resource
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylfr.errors import WatchlistError
from pylfr.gallery.index.reloading import open_gallery
from pylfr.gallery.watchlist import sqlite_file
from pylfr.gallery.watchlist.digests import read_contents
from pylfr.gallery.watchlist.portrait import encode_jpeg
from pylfr.gallery.watchlist.sealed import is_sealed, open_sealed, seal_watchlist
from pylfr.governance.keys.keys import SigningKey
from pylfr.governance.keys.vault import VaultKey, make_vault_key, read_vault_key
from pylfr.governance.retention.past_listing import read_manifest, write_manifest

MODEL = "ab" * 32
DIMENSION = 32


def enrolled(path: Path, names: tuple[str, ...] = ("Ada Lovelace", "Grace Hopper")) -> list[bytes]:
    """A watchlist of these people with random templates; the bytes of each template."""
    sqlite_file.create(path, embedder="stand-in", model=MODEL, dimension=DIMENSION)
    chance = np.random.default_rng(1)
    templates = []
    with closing(sqlite_file.connect(path)) as connection, sqlite_file.writing(connection):
        for number, name in enumerate(names, start=1):
            vector = chance.normal(size=DIMENSION).astype("<f4")
            templates.append((vector / np.linalg.norm(vector)).tobytes())
            picture = encode_jpeg(np.full((32, 32, 3), 40 * number % 256, np.uint8))
            added = sqlite_file.to_text(sqlite_file.now())
            connection.execute(
                "INSERT INTO entries (id, name, category, justification, expires_at, added_at) VALUES (?,?,?,?,?,?)",
                (number, name, "wanted on warrant", "warrant 7", None, added),
            )
            connection.execute(
                "INSERT INTO reference_images (entry, template, picture, sharpness, interocular_px, yaw, pitch, roll,"
                " brightness, contrast, image_sha256, added_at) VALUES (?,?,?,1,1,1,1,1,1,1,?,?)",
                (number, templates[-1], picture, "00" * 32, added),
            )
    return templates


@pytest.fixture
def key(tmp_path: Path) -> VaultKey:
    return make_vault_key(tmp_path / "vault.key", expires_at=sqlite_file.now() + timedelta(hours=1))


@pytest.fixture
def sealed(tmp_path: Path, key: VaultKey) -> Path:
    enrolled(tmp_path / "plain.watchlist")
    seal_watchlist(tmp_path / "plain.watchlist", tmp_path / "sealed", key)
    return tmp_path / "sealed"


def test_a_sealed_watchlist_opens_in_memory_with_all_that_it_held(tmp_path: Path, sealed: Path, key: VaultKey) -> None:
    assert is_sealed(sealed)
    assert not is_sealed(tmp_path / "plain.watchlist")
    assert read_contents(sealed, key) == read_contents(tmp_path / "plain.watchlist")
    gallery = open_gallery(sealed, model=MODEL, key=key, poll_ms=0.001)
    assert [gallery.snapshot().reference(number).name for number in (1, 2)] == ["Ada Lovelace", "Grace Hopper"]


def test_nothing_of_anybody_stands_in_the_file(tmp_path: Path, key: VaultKey) -> None:
    templates = enrolled(tmp_path / "plain.watchlist")
    seal_watchlist(tmp_path / "plain.watchlist", tmp_path / "sealed", key)
    content = (tmp_path / "sealed").read_bytes()
    # No shorter words: three letters stand somewhere in so much base64 by chance.
    for secret in (b"Lovelace", b"warrant", b"JFIF", *templates):
        assert secret not in content
    assert (tmp_path / "sealed").stat().st_mode & 0o777 == 0o600


def test_without_its_key_or_with_another_it_does_not_open(tmp_path: Path, sealed: Path) -> None:
    with pytest.raises(WatchlistError, match="is sealed: name its key"):
        read_contents(sealed)
    with pytest.raises(WatchlistError, match="another kind of file"):
        sqlite_file.connect(sealed)
    other = make_vault_key(tmp_path / "other.key", expires_at=sqlite_file.now() + timedelta(hours=1))
    with pytest.raises(WatchlistError, match="cannot be opened"):
        open_sealed(sealed, other)


def test_a_deadline_that_was_moved_in_the_keys_file_opens_nothing(tmp_path: Path, sealed: Path) -> None:
    path = tmp_path / "vault.key"
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps({**record, "expires_at": "2099-01-01T00:00:00.000Z"}))
    later = read_vault_key(path, now=sqlite_file.now())
    with pytest.raises(WatchlistError, match="the key's deadline was changed"):
        open_sealed(sealed, later)
    path.write_text(json.dumps({**record, "format": "pylfr-vault-key-1"}))
    with pytest.raises(WatchlistError, match="cannot be opened"):
        open_sealed(sealed, read_vault_key(path, now=sqlite_file.now()))


def test_a_row_that_was_left_out_moved_or_taken_from_another_list_is_found(
    tmp_path: Path, sealed: Path, key: VaultKey
) -> None:
    header, *rows = sealed.read_bytes().splitlines()
    enrolled(tmp_path / "another.watchlist")
    seal_watchlist(tmp_path / "another.watchlist", tmp_path / "another", key)
    foreign = (tmp_path / "another").read_bytes().splitlines()[1]
    first, second = json.loads(rows[0]), json.loads(rows[1])
    swapped = [json.dumps({**first, "sealed": second["sealed"]}).encode(), *rows[1:]]
    changed = header.replace(b'"stand-in"', b'"other"')
    for lines in (
        [header, *rows[1:]],
        [header, *rows[:-1]],
        [header, foreign, *rows[1:]],
        [header, *swapped],
        [changed, *rows],
        [],
    ):
        sealed.write_bytes(b"\n".join(lines))
        with pytest.raises(WatchlistError, match=r"sealed|kind of file"):
            read_contents(sealed, key)


def test_a_search_after_the_keys_deadline_is_refused(tmp_path: Path, key: VaultKey) -> None:
    enrolled(tmp_path / "plain.watchlist")
    short = VaultKey(secret=key.secret, expires_at=sqlite_file.now())
    seal_watchlist(tmp_path / "plain.watchlist", tmp_path / "sealed", short)
    gallery = open_gallery(tmp_path / "sealed", model=MODEL, key=short, poll_ms=0.001)
    with pytest.raises(WatchlistError, match="has ended: nobody may be looked for"):
        gallery.refresh()


def test_after_the_shred_the_manifest_answers_and_holds_no_name_and_no_template(tmp_path: Path) -> None:
    templates = enrolled(tmp_path / "plain.watchlist")
    signing = SigningKey(Ed25519PrivateKey.generate())
    path = tmp_path / "listed.json"
    write_manifest(path, watchlist="ab" * 32, references=["Ada Lovelace", "Grace Hopper"], key=signing)
    (tmp_path / "plain.watchlist").unlink()
    manifest = read_manifest(path, signing.public)
    assert manifest.holds(" ada  LOVELACE")
    assert not manifest.holds("Mary Somerville")
    content = path.read_bytes()
    for secret in (b"Lovelace", b"Hopper", *(template[:16] for template in templates)):
        assert secret not in content
        assert secret.hex().encode() not in content


def test_a_manifest_that_was_changed_or_signed_by_another_is_refused(tmp_path: Path) -> None:
    signing, other = (SigningKey(Ed25519PrivateKey.generate()) for _ in range(2))
    path = tmp_path / "listed.json"
    write_manifest(path, watchlist="ab" * 32, references=["Ada"], key=signing)
    with pytest.raises(WatchlistError, match="another key"):
        read_manifest(path, other.public)
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "digests": []}))
    with pytest.raises(WatchlistError, match="was changed"):
        read_manifest(path, signing.public)


def test_a_list_that_is_larger_than_the_cache_is_opened_and_searched_without_a_file(tmp_path: Path) -> None:
    key = make_vault_key(tmp_path / "vault.key", expires_at=sqlite_file.now() + timedelta(hours=1))
    names = tuple(f"REF-{number}" for number in range(6000))
    enrolled(tmp_path / "plain.watchlist", names)
    seal_watchlist(tmp_path / "plain.watchlist", tmp_path / "sealed", key)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with closing(open_sealed(tmp_path / "sealed", key)) as connection:
            rows = connection.execute("SELECT template, picture FROM reference_images ORDER BY picture, template")
            assert len(rows.fetchall()) == len(names)
        assert len(open_gallery(tmp_path / "sealed", model=MODEL, key=key)) == len(names)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
