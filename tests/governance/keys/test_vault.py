"""What is sealed opens with its key, in its place, before its deadline; otherwise it is gone."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pylfr._internal.atomic_file import PART
from pylfr.errors import VaultError
from pylfr.governance.authorisation.profiles import read_profile
from pylfr.governance.keys.vault import destroy_key, make_vault_key, read_key_file, read_vault_key
from pylfr.governance.retention.sweeper import (
    SUFFIX,
    RetentionPolicy,
    read_sealed,
    sweep,
    sweep_lines,
    sweep_pictures,
    write_sealed,
)
from tests.governance.samples import NOON

LATER = NOON + timedelta(hours=24)
SECRET = b"a face, as it were" * 100


def test_a_key_opens_what_it_sealed_and_shows_itself_nowhere(tmp_path: Path) -> None:
    key = make_vault_key(tmp_path / "key", expires_at=LATER)
    assert key.secret.view.hex() not in repr(key)
    assert repr(bytes(key.secret.view)) not in repr(key)
    again = read_vault_key(tmp_path / "key", now=NOON)
    assert again.open(key.seal(SECRET, "here"), "here") == SECRET
    assert key.seal(SECRET, "here") != key.seal(SECRET, "here")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_what_was_changed_or_moved_does_not_open(tmp_path: Path) -> None:
    key = make_vault_key(tmp_path / "key", expires_at=LATER)
    sealed = key.seal(SECRET, ["list", 1])
    for broken in (sealed[:-1], sealed[:20], b"", sealed[:30] + bytes([sealed[30] ^ 1]) + sealed[31:]):
        with pytest.raises(VaultError, match="cannot be opened"):
            key.open(broken, ["list", 1])
    with pytest.raises(VaultError, match="cannot be opened"):
        key.open(sealed, ["list", 2])
    with pytest.raises(VaultError, match="cannot be opened"):
        make_vault_key(tmp_path / "other", expires_at=LATER).open(sealed, ["list", 1])


def test_a_restart_after_the_deadline_destroys_the_key_and_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_vault_key(path, expires_at=LATER)
    read_vault_key(path, now=LATER - timedelta(seconds=1))
    with pytest.raises(VaultError, match="is destroyed"):
        read_vault_key(path, now=LATER)
    assert not path.exists()
    with pytest.raises(VaultError, match="does not exist"):
        read_vault_key(path, now=NOON)


def test_a_key_under_a_passphrase_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = make_vault_key(path, expires_at=LATER, passphrase="correct horse")
    assert read_vault_key(path, now=NOON, passphrase="correct horse") == key
    for wrong, words in ((None, "needs its passphrase"), ("battery", "cannot be opened")):
        with pytest.raises(VaultError, match=words):
            read_vault_key(path, now=NOON, passphrase=wrong)


def test_a_key_that_others_can_read_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_vault_key(path, expires_at=LATER)
    path.chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        read_vault_key(path, now=NOON)
    path.write_text("{}")
    with pytest.raises(VaultError, match="damaged"):
        read_vault_key(path, now=NOON)
    with pytest.raises(VaultError, match="name a new file"):
        make_vault_key(path, expires_at=LATER)


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_a_deadline_that_was_moved_in_a_keys_file_opens_nothing_that_it_sealed(
    tmp_path: Path, passphrase: str | None
) -> None:
    path = tmp_path / "key"
    sealed = make_vault_key(path, expires_at=LATER, passphrase=passphrase).seal(SECRET, "here")
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps({**record, "expires_at": "2099-01-01T00:00:00.000Z"}))
    with pytest.raises(VaultError, match="the key's deadline was changed"):
        read_vault_key(path, now=NOON, passphrase=passphrase).open(sealed, "here")


def test_what_a_key_of_the_first_format_sealed_still_opens(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = make_vault_key(path, expires_at=LATER)
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps({**record, "format": "pylfr-vault-key-1"}))
    old = read_vault_key(path, now=NOON)
    assert old.open(replace(made, binds_deadline=False).seal(SECRET, "here"), "here") == SECRET
    with pytest.raises(VaultError, match="cannot be opened"):
        old.open(made.seal(SECRET, "here"), "here")


def test_evidence_is_sealed_on_disk_and_erased_at_its_time_by_whoever_sweeps(tmp_path: Path) -> None:
    key = make_vault_key(tmp_path / "key", expires_at=LATER)
    for name, hours in (("a", 1), ("b", 2)):
        path = write_sealed(tmp_path, name, SECRET, key, erase_at=NOON + timedelta(hours=hours))
        assert SECRET[:16] not in path.read_bytes()
        assert read_sealed(path, key, now=NOON) == SECRET
    assert list(sweep(tmp_path, now=NOON)) == []
    assert list(sweep(tmp_path, now=NOON + timedelta(hours=1))) == [f"a{SUFFIX}"]
    assert list(sweep(tmp_path, now=NOON + timedelta(hours=9))) == [f"b{SUFFIX}"]


def test_a_crash_leaves_nothing_that_the_next_sweep_does_not_erase(tmp_path: Path) -> None:
    (tmp_path / f".c{PART}").write_bytes(b"half")
    (tmp_path / f"d{SUFFIX}").write_bytes(b'{"erase_at":"not what it was')
    assert sorted(sweep(tmp_path, now=NOON)) == [f".c{PART}", f"d{SUFFIX}"]
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_is_over_is_erased_when_it_is_asked_for(tmp_path: Path) -> None:
    key = make_vault_key(tmp_path / "key", expires_at=LATER)
    path = write_sealed(tmp_path, "a", SECRET, key, erase_at=NOON)
    with pytest.raises(VaultError, match="was to be erased"):
        read_sealed(path, key, now=NOON)
    assert not path.exists()


def test_its_time_cannot_be_moved(tmp_path: Path) -> None:
    key = make_vault_key(tmp_path / "key", expires_at=LATER)
    path = write_sealed(tmp_path, "a", SECRET, key, erase_at=NOON)
    path.write_bytes(path.read_bytes().replace(b"2026-01-11", b"2036-01-11"))
    with pytest.raises(VaultError, match="cannot be opened"):
        read_sealed(path, key, now=NOON)


def test_a_destroyed_key_is_overwritten_before_it_goes(tmp_path: Path) -> None:
    path, link = tmp_path / "key", tmp_path / "link"
    key = make_vault_key(path, expires_at=LATER)
    link.hardlink_to(path)
    before = link.read_bytes()
    destroy_key(path)
    assert not path.exists()
    assert link.read_bytes() != before
    assert bytes(key.secret.view) not in link.read_bytes()


def test_a_key_that_another_process_has_just_destroyed_is_destroyed_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_vault_key(path, expires_at=LATER)
    file = read_key_file(path)
    destroy_key(path)
    destroy_key(path)
    with pytest.raises(VaultError, match="is destroyed"):
        file.open(now=LATER)


def test_the_published_policy_says_what_is_enforced() -> None:
    policy = RetentionPolicy.of(read_profile("uk-police"))
    assert policy.alerts == timedelta(hours=24)
    assert any("24 h after the alert" in each for each in policy.sentences())
    assert any("24 h after the window ends" in each for each in policy.sentences())
    assert policy.outcomes == timedelta(days=31)
    assert any("31 days after it" in each for each in policy.sentences())


DAY = timedelta(hours=24)


def line_of(at: datetime, name: str = "Ada") -> bytes:
    return json.dumps({"type": "alert", "entry": name, "recorded_at": at.isoformat()}).encode() + b"\n"


def test_a_line_goes_at_its_time_and_whoever_appends_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    kept = line_of(NOON + timedelta(hours=1), "Grace")
    path.write_bytes(line_of(NOON) + kept)
    with path.open("ab") as writer:
        assert sweep_lines(path, retention=DAY, now=NOON + DAY - timedelta(seconds=1)) == 0
        assert sweep_lines(path, retention=DAY, now=NOON + DAY) == 1
        writer.write(line_of(NOON + DAY, "Mary"))
    content = path.read_bytes()
    assert b"Ada" not in content
    assert content.endswith(kept + line_of(NOON + DAY, "Mary"))
    assert [json.loads(line)["type"] for line in content.splitlines()] == ["erased", "alert", "alert"]
    assert sweep_lines(path, retention=DAY, now=NOON + DAY) == 0


def test_a_line_that_a_crash_left_damaged_goes_and_one_that_is_being_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"type": "alert", "entry": "Ada", "reco\n' + b"[]\n\n" + b'{"entry": "Grace"')
    with path.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_SH)
        assert sweep_lines(path, retention=DAY, now=NOON) == 2
    assert b"Ada" not in path.read_bytes()
    assert path.read_bytes().endswith(b'\n\n{"entry": "Grace"')
    path.write_bytes(b"")
    assert sweep_lines(path, retention=DAY, now=NOON) == 0


def test_pictures_in_the_open_go_at_their_time_too(tmp_path: Path) -> None:
    for name, hours in (
        ("20260111T120000000-a-1-a1a1a1a1.jpg", 0),
        ("20260111T120000000-b-1-a1a1a1a1.jpg", 1),
        ("notes.txt", 0),
    ):
        (tmp_path / name).write_bytes(b"x")
        written = (NOON + timedelta(hours=hours)).timestamp()
        os.utime(tmp_path / name, (written, written))
    assert list(sweep_pictures(tmp_path, retention=DAY, now=NOON + DAY - timedelta(seconds=1))) == []
    assert list(sweep_pictures(tmp_path, retention=DAY, now=NOON + DAY)) == ["20260111T120000000-a-1-a1a1a1a1.jpg"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20260111T120000000-b-1-a1a1a1a1.jpg", "notes.txt"]
