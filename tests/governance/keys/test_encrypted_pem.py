"""A key under a passphrase opens for OpenSSL, costs 600,000 rounds a guess, and older files go on opening."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from pylfr.errors import AuthorisationError
from pylfr.governance.keys import encrypted_pem
from pylfr.governance.keys.encrypted_pem import encrypt_pem
from pylfr.governance.keys.keys import is_under_passphrase, make_key, read_signing_key

WORDS = "correct horse bättery staple"


def test_a_key_under_a_passphrase_is_read_with_it_and_with_no_other(tmp_path: Path) -> None:
    public = make_key(tmp_path / "k.key", passphrase=WORDS)
    assert is_under_passphrase(tmp_path / "k.key")
    assert read_signing_key(tmp_path / "k.key", passphrase=WORDS).public == public
    with pytest.raises(AuthorisationError, match="its passphrase is another"):
        read_signing_key(tmp_path / "k.key", passphrase=WORDS + " ")
    with pytest.raises(AuthorisationError, match="under a passphrase, and none was given"):
        read_signing_key(tmp_path / "k.key")


def test_openssl_reads_it_and_says_how_it_is_stretched(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    make_key(tmp_path / "k.key", passphrase=WORDS)
    opened = subprocess.run(
        ["openssl", "pkey", "-in", str(tmp_path / "k.key"), "-passin", f"pass:{WORDS}", "-noout", "-text"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert opened.stdout.startswith("ED25519 Private-Key")
    parsed = subprocess.run(
        ["openssl", "asn1parse", "-in", str(tmp_path / "k.key")], capture_output=True, text=True, check=True
    ).stdout
    for part in ("PBES2", "PBKDF2", f"INTEGER           :{600_000:06X}", "hmacWithSHA256", "aes-256-cbc"):
        assert part in parsed


def test_a_key_that_was_encrypted_with_fewer_rounds_is_still_read(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "older.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(WORDS.encode())))
    path.chmod(0o600)
    assert read_signing_key(path, passphrase=WORDS).public.raw == key.public_key().public_bytes_raw()


def test_a_key_whose_passphrase_would_be_stretched_for_hours_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        def __init__(self, **_: object) -> None:
            pass

        def derive(self, _: bytes) -> bytes:
            return bytes(32)

    monkeypatch.setattr(encrypted_pem, "PBKDF2HMAC", Nothing)
    monkeypatch.setattr(encrypted_pem, "ROUNDS", 2**31 - 1)
    path = tmp_path / "hostile.key"
    path.write_bytes(encrypt_pem(b"no key", "a passphrase"))
    path.chmod(0o600)
    with pytest.raises(AuthorisationError, match="more than 10,000,000 rounds"):
        read_signing_key(path, passphrase="a passphrase")
