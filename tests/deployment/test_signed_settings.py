"""Every setting that changes whom is looked for, who is told or what is recorded is signed; secrets never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.deployment.config import read_deployment
from pylfr.deployment.signed_settings import camera_digests, signed_settings
from pylfr.errors import ConfigError
from tests.deployment_text import SIGNED_DEPLOYMENT

SECRETS = {"CAMERA_USER": "operator", "CAMERA_PASSWORD": "hunter2", "HOOK_TOKEN": "t0ken", "HOOK_SECRET": "s3cret"}
NETWORK = """
[[cameras]]
name = "gate"
source = "rtsp://${CAMERA_USER}:${CAMERA_PASSWORD}@${CAMERA_HOST}/live/${CHANNEL}"
[[sinks]]
type = "webhook"
url = "https://${HOOK_HOST}/${HOOK_TOKEN}"
secret = "${HOOK_SECRET}"
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"CAMERA_HOST": "10.0.0.7", "CHANNEL": "1", "HOOK_HOST": "police.example"}
    for name, value in {**SECRETS, **places}.items():
        monkeypatch.setenv(name, value)


def settings(folder: Path, old: str = "", new: str = "") -> dict[str, str]:
    text = SIGNED_DEPLOYMENT + NETWORK
    (folder / "deployment.toml").write_text(text.replace(old, new) if old else text)
    return signed_settings(read_deployment(folder / "deployment.toml"), record_key=None, watchlist_key=None)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (('path = "audit.log"', 'path = "other.log"'), "audit.path"),
        (('checkpoints = "elsewhere"', 'checkpoints = "here"'), "audit.checkpoints"),
        (('file = "records.sqlite"', 'file = "other.sqlite"'), "records.file"),
        (("${HOOK_HOST}", "elsewhere.example"), "sinks.3.url"),
        (('secret = "${HOOK_SECRET}"', 'secret = "${HOOK_SECRET}"\npictures = true'), "sinks.3.pictures"),
        (("[watchlist]", '[decode]\nisolation = "none"\n[watchlist]'), "decode.isolation"),
        (("[watchlist]", "[recognition]\nmax_faces_a_frame = 1\n[watchlist]"), "recognition.max_faces_a_frame"),
        (("[watchlist]", "[recognition]\nmin_interocular_px = 0\n[watchlist]"), "recognition.min_interocular_px"),
        (('detector = "yunet_n"', 'detector = "yunet_n"\nside_px = 320'), "models.side_px"),
        (("[watchlist]", "[recognition]\nsmallest_face_px = 40\n[watchlist]"), "recognition.smallest_face_px"),
        (("[watchlist]", "[watchlist]\npoll_ms = 60000"), "watchlist.poll_ms"),
        (('name = "gate"', 'name = "gate"\nunchanged_after_s = 3600'), "cameras.gate.unchanged_after_s"),
        (('name = "gate"', 'name = "gate"\ntransport = "udp"'), "cameras.gate.transport"),
        (('name = "gate"', 'name = "gate"\nredirects_to = ["10.0.0.8"]'), "cameras.gate.redirects_to"),
        (('name = "gate"', 'name = "gate"\nca = "ca.pem"'), "cameras.gate.ca"),
        (('name = "gate"', 'name = "gate"\nrotate = 90'), "cameras.gate.rotate"),
        (('name = "gate"', 'name = "gate"\nsample_aspect = "2:1"'), "cameras.gate.sample_aspect"),
        (('name = "gate"', 'name = "gate"\nstream = 1'), "cameras.gate.stream"),
        (('key = "evidence.key"', 'key = "other.key"'), "sinks.0.key"),
    ],
)
def test_a_changed_setting_is_another_setting_that_is_named(
    tmp_path: Path, change: tuple[str, str], place: str
) -> None:
    signed, changed = settings(tmp_path), settings(tmp_path, *change)
    assert {name for name in signed.keys() | changed.keys() if signed.get(name) != changed.get(name)} == {place}


def test_authorities_that_are_exchanged_in_their_file_are_another_setting(tmp_path: Path) -> None:
    given = ('name = "gate"', 'name = "gate"\nca = "ca.pem"')
    (tmp_path / "ca.pem").write_text("one authority")
    signed = settings(tmp_path, *given)
    (tmp_path / "ca.pem").write_text("another one")
    changed = settings(tmp_path, *given)
    assert {name for name in signed if signed[name] != changed[name]} == {"cameras.gate.ca"}


def test_what_changes_the_speed_alone_and_who_logs_on_may_change(tmp_path: Path) -> None:
    signed = settings(tmp_path)
    for change in (
        ('detector = "yunet_n"', 'detector = "yunet_n"\nthreads = 3'),
        ("[watchlist]", "[batch]\nsize = 3\n[watchlist]"),
        ("${HOOK_SECRET}", "${CAMERA_PASSWORD}"),
    ):
        assert settings(tmp_path, *change) == signed


@pytest.mark.parametrize("name", ["CAMERA_HOST", "CHANNEL"])
def test_another_environment_is_another_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "deployment.toml").write_text(SIGNED_DEPLOYMENT + NETWORK)
    deployment = read_deployment(tmp_path / "deployment.toml")
    before = camera_digests(deployment)
    monkeypatch.setenv("CAMERA_PASSWORD", "rotated")
    assert camera_digests(deployment) == before
    monkeypatch.setenv(name, "another")
    assert camera_digests(deployment)["gate"] != before["gate"]
    monkeypatch.delenv(name)
    with pytest.raises(ConfigError, match=name):
        camera_digests(deployment)


def test_another_environment_is_another_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings(tmp_path)["sinks.3.url"]
    assert before.startswith("https://police.example/")
    monkeypatch.setenv("HOOK_HOST", "elsewhere.example")
    assert settings(tmp_path)["sinks.3.url"] != before


def test_no_secret_is_in_what_is_signed(tmp_path: Path) -> None:
    said = "\n".join(f"{name} {value}" for name, value in settings(tmp_path).items())
    assert not [secret for secret in SECRETS.values() if secret in said]
    assert "sinks.3.secret (set)" in said
