"""A signed authorisation in which any field is missing, added or altered is refused, and the field is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pylfr._internal.canonical_json import digest
from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.authority import Authorisation
from pylfr.governance.authorisation.signed import read_signed, sign_authorisation
from pylfr.governance.keys.keys import SigningKey, make_key, read_public_key, read_signing_key
from tests.governance.samples import authorisation


def key(folder: Path, name: str = "officer.key") -> SigningKey:
    make_key(folder / name)
    return read_signing_key(folder / name)


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    path = tmp_path / "authorisation.json"
    path.write_bytes(sign_authorisation(authorisation(), (key(tmp_path),)))
    return path


def test_what_was_signed_reads_back_with_its_signer(signed: Path, tmp_path: Path) -> None:
    read = read_signed(signed)
    assert read.authorisation == authorisation()
    assert read.signers == {read_public_key(tmp_path / "officer.pub")}


def test_two_officers_may_sign(tmp_path: Path) -> None:
    keys = (key(tmp_path), key(tmp_path, "second.key"))
    (tmp_path / "both.json").write_bytes(sign_authorisation(authorisation(), keys))
    assert read_signed(tmp_path / "both.json").signers == {each.public for each in keys}


@pytest.mark.parametrize("field", sorted(Authorisation.model_fields))
def test_an_altered_field_is_named(signed: Path, field: str) -> None:
    record = json.loads(signed.read_text())
    value = record["authorisation"][field]
    record["authorisation"][field] = {"gate": "a1" * 32} if field == "cameras" else f"{value}x"
    signed.write_text(json.dumps(record))
    with pytest.raises(AuthorisationError, match=rf"altered after it was signed: {field};"):
        read_signed(signed)


@pytest.mark.parametrize("field", sorted(Authorisation.model_fields))
def test_a_missing_field_is_named_though_its_digest_went_with_it(signed: Path, field: str) -> None:
    record = json.loads(signed.read_text())
    del record["authorisation"][field], record["digests"][field]
    signed.write_text(json.dumps(record))
    # The first version had no settings: that they are absent is part of what was signed.
    said = f"lacks {field}" if field != "settings" else "signature does not belong to these words"
    with pytest.raises(AuthorisationError, match=said):
        read_signed(signed)


def test_an_altered_field_with_its_digest_made_anew_breaks_the_signature(signed: Path) -> None:
    record = json.loads(signed.read_text())
    record["authorisation"]["place"] = "Another Square"
    record["digests"]["place"] = digest(["place", "Another Square"])
    signed.write_text(json.dumps(record))
    with pytest.raises(AuthorisationError, match="signature does not belong to these words"):
        read_signed(signed)


def test_an_added_field_is_named(signed: Path) -> None:
    record = json.loads(signed.read_text())
    record["authorisation"]["also"] = "everywhere"
    signed.write_text(json.dumps(record))
    with pytest.raises(AuthorisationError, match="also"):
        read_signed(signed)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"),
        (b"[]", "must be a signed authorisation"),
        (b'{"format": "pylfr-authorisation-1"}', "no fields"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AuthorisationError, match=words):
        read_signed(path)


def test_a_record_without_a_signature_or_with_a_broken_one_is_refused(signed: Path) -> None:
    record = json.loads(signed.read_text())
    for signatures, words in (([], "not signed"), ([{"key": "x"}], "cannot be read")):
        signed.write_text(json.dumps(record | {"signatures": signatures}))
        with pytest.raises(AuthorisationError, match=words):
            read_signed(signed)


def test_keys_are_for_their_owner_alone_and_open_with_their_passphrase_only(tmp_path: Path) -> None:
    path = tmp_path / "officer.key"
    make_key(path, passphrase="correct horse")
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in path.read_bytes()
    public = read_public_key(tmp_path / "officer.pub")
    assert read_signing_key(path, passphrase="correct horse").public == public
    for wrong in (None, "battery staple"):
        with pytest.raises(AuthorisationError, match="passphrase"):
            read_signing_key(path, passphrase=wrong)
    with pytest.raises(AuthorisationError, match="name a new file"):
        make_key(path)
    path.chmod(0o644)
    with pytest.raises(AuthorisationError, match="chmod 600"):
        read_signing_key(path)
    (tmp_path / "officer.pub").write_text("ssh-ed25519 AAAA")
    with pytest.raises(AuthorisationError, match="a public key is"):
        read_public_key(tmp_path / "officer.pub")
