"""A key that the kernel keeps is on no disk and ends at its time; where the kernel keeps none, that is said."""

from __future__ import annotations

import json
import secrets
import time
from datetime import timedelta
from pathlib import Path

import pytest

from pylfr.errors import VaultError
from pylfr.governance.keys import keyring
from pylfr.governance.keys.keyring import find_key, forget_key, keep_key, keyring_works
from pylfr.governance.keys.memory import LockedSecret
from pylfr.governance.keys.vault import destroy_key, make_vault_key, place_of, read_vault_key
from tests.governance.samples import NOON

SECRET = LockedSecret.copy_of(b"secret")
LATER = NOON + timedelta(hours=24)

needs_keyring = pytest.mark.skipif(not keyring_works(), reason="this kernel, or this container, keeps no keys")


@pytest.fixture
def name() -> str:
    return f"pylfr:test:{secrets.token_hex(8)}"


@needs_keyring
def test_the_kernel_keeps_a_key_until_it_is_told_to_forget_it(name: str) -> None:
    assert find_key(name) is None
    keep_key(name, SECRET, seconds=60)
    assert find_key(name) == SECRET
    forget_key(name)
    assert find_key(name) is None
    forget_key(name)


@needs_keyring
def test_the_kernel_forgets_a_key_at_its_time(name: str) -> None:
    keep_key(name, SECRET, seconds=1)
    until = time.monotonic() + 10
    while find_key(name) is not None:
        assert time.monotonic() < until
        time.sleep(0.1)


@needs_keyring
def test_a_vault_key_in_the_keyring_is_in_no_file_and_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = make_vault_key(path, expires_at=LATER, in_keyring_for_s=60)
    assert place_of(path) == "the kernel's keyring"
    assert json.loads(path.read_bytes())["key"] == ""
    assert bytes(key.secret.view) not in path.read_bytes()
    assert read_vault_key(path, now=NOON) == key
    copied = tmp_path / "copy"
    copied.write_bytes(path.read_bytes())
    copied.chmod(0o600)
    destroy_key(path)
    assert not path.exists()
    with pytest.raises(VaultError, match="kept in the kernel's keyring and is gone"):
        read_vault_key(copied, now=NOON)


@needs_keyring
def test_a_key_past_its_deadline_is_taken_from_the_keyring_by_whoever_asks(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_vault_key(path, expires_at=LATER, in_keyring_for_s=60)
    name = json.loads(path.read_bytes())["keyring"]
    with pytest.raises(VaultError, match="is destroyed"):
        read_vault_key(path, now=LATER)
    assert find_key(name) is None


def test_where_the_kernel_keeps_no_keys_that_is_said_and_no_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "_CALLS", {})
    assert not keyring_works()
    with pytest.raises(VaultError, match="the keyring is used on Linux"):
        make_vault_key(tmp_path / "key", expires_at=LATER, in_keyring_for_s=60)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 1e12])
def test_a_time_that_the_kernel_cannot_keep_is_refused(name: str, seconds: float) -> None:
    with pytest.raises(VaultError, match="keeps a key for 1 to"):
        keep_key(name, SECRET, seconds=seconds)


def test_where_a_key_is_kept_is_said(tmp_path: Path) -> None:
    make_vault_key(tmp_path / "open", expires_at=LATER)
    make_vault_key(tmp_path / "under", expires_at=LATER, passphrase="correct horse")
    assert place_of(tmp_path / "open") == "a file in the open"
    assert place_of(tmp_path / "under") == "a file under a passphrase"
    with pytest.raises(VaultError, match="does not exist"):
        place_of(tmp_path / "none")
    with pytest.raises(ValueError, match="give one"):
        make_vault_key(tmp_path / "both", expires_at=LATER, passphrase="x", in_keyring_for_s=60)
