"""A security key signs for our bytes, on our pages, with its owner there; anything else is no signature."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylfr.errors import AuthorisationError
from pylfr.governance.keys.keys import PublicKey
from pylfr.governance.keys.person_key import parse_person_key, read_person_key, verifies
from pylfr.governance.keys.webauthn import Assertion, WebAuthnKey, challenge_of
from tests.governance.security_key import PRESENT, VERIFIED, SecurityKey, p256

MESSAGE = b'["pylfr-decision-2","adjudication","a1","Ann","same person","2026-05-01T12:00:00.000Z",""]'


@pytest.fixture(params=["es256", "ed25519"])
def device(request: pytest.FixtureRequest) -> SecurityKey:
    return SecurityKey(private=p256() if request.param == "es256" else Ed25519PrivateKey.generate())


def test_an_assertion_over_our_bytes_on_our_pages_is_a_signature(device: SecurityKey) -> None:
    assert device.public.verifies(MESSAGE, device.sign(MESSAGE))
    assert verifies(parse_person_key(device.public.text), MESSAGE, device.sign(MESSAGE))


@pytest.mark.parametrize(
    "client",
    [
        {"origin": "https://desk.example.evil"},
        {"origin": "http://desk.example"},
        {"origin": "https://desk.example:8443"},
        {"challenge": challenge_of(b"something else")},
        {"challenge": challenge_of(MESSAGE) + "="},
        {"challenge": None},
        {"type": "webauthn.create"},
        {"crossOrigin": True},
        {"crossOrigin": "false"},
    ],
)
def test_what_the_browser_was_asked_elsewhere_or_for_something_else_is_refused(
    device: SecurityKey, client: dict[str, object]
) -> None:
    assert not device.public.verifies(MESSAGE, device.sign(MESSAGE, client=client))


@pytest.mark.parametrize("flags", [0, PRESENT, VERIFIED])
def test_nobody_there_or_nobody_known_is_refused(device: SecurityKey, flags: int) -> None:
    assert not device.public.verifies(MESSAGE, device.sign(MESSAGE, flags=flags))


def test_a_key_for_another_host_is_refused(device: SecurityKey) -> None:
    assert not device.public.verifies(MESSAGE, device.sign(MESSAGE, host="example"))


def test_another_key_another_message_and_a_changed_part_are_refused(device: SecurityKey) -> None:
    given = Assertion.parse(device.sign(MESSAGE))
    other = SecurityKey(private=p256())
    assert not other.public.verifies(MESSAGE, given.text)
    assert not device.public.verifies(MESSAGE + b" ", given.text)
    counted = given.authenticator_data[:-1] + b"\x08"
    assert not device.public.verifies(MESSAGE, replace(given, authenticator_data=counted).text)
    spaced = given.client_data.replace(b'": ', b'":')
    assert not device.public.verifies(MESSAGE, replace(given, client_data=spaced).text)
    assert not device.public.verifies(MESSAGE, replace(given, signature=given.signature[:-1]).text)


@pytest.mark.parametrize(
    "client_data", [b"", b"null", b"[]", b"\xff", b"{", b"[" * 2048, b'"webauthn.get"', b"x" * 4096]
)
def test_what_is_no_client_data_is_no_signature(device: SecurityKey, client_data: bytes) -> None:
    data = Assertion.parse(device.sign(MESSAGE)).authenticator_data
    assert not device.public.verifies(MESSAGE, device.assertion(data, client_data).text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "AA==.e30=.AA==", "a.b.c.d", "é.é.é", base64.b64encode(bytes(64)).decode()]
)
def test_what_is_no_assertion_is_no_signature(device: SecurityKey, text: str) -> None:
    assert not device.public.verifies(MESSAGE, text)


def test_an_ed25519_key_of_a_file_takes_no_assertion_and_a_security_key_no_bare_signature() -> None:
    private = Ed25519PrivateKey.generate()
    device = SecurityKey(private=private)
    bare = base64.b64encode(private.sign(MESSAGE)).decode()
    assert verifies(PublicKey(device.public.raw), MESSAGE, bare)
    assert not verifies(device.public, MESSAGE, bare)
    assert not verifies(PublicKey(device.public.raw), MESSAGE, device.sign(MESSAGE))


def test_a_key_is_one_line_in_a_file(device: SecurityKey, tmp_path: Path) -> None:
    (tmp_path / "ann.pub").write_text(device.public.text + "\n")
    assert read_person_key(tmp_path / "ann.pub") == device.public
    assert "\n" not in device.public.text


@pytest.mark.parametrize(
    "text",
    [
        "pylfr-webauthn https://desk.example es256 AAAA",
        "pylfr-webauthn https://desk.example es256 " + base64.b64encode(b"\4" + bytes(64)).decode(),
        "pylfr-webauthn https://desk.example ed25519 AAAA",
        "pylfr-webauthn https://desk.example rs256 " + base64.b64encode(bytes(32)).decode(),
        "pylfr-webauthn https://desk.example/ ed25519 " + base64.b64encode(bytes(32)).decode(),
        "pylfr-webauthn http://desk.example ed25519 " + base64.b64encode(bytes(32)).decode(),
        "pylfr-webauthn HTTPS://DESK.EXAMPLE ed25519 " + base64.b64encode(bytes(32)).decode(),
        "pylfr-webauthn ed25519 " + base64.b64encode(bytes(32)).decode(),
        "pylfr-webauthn",
    ],
)
def test_what_is_no_security_key_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="key"):
        parse_person_key(text)
    (tmp_path / "ann.pub").write_text(text)
    with pytest.raises(AuthorisationError, match=r"ann\.pub"):
        read_person_key(tmp_path / "ann.pub")


def test_a_page_of_this_machine_may_have_a_key_too() -> None:
    device = SecurityKey(origin="http://localhost:8443")
    assert WebAuthnKey.parse(device.public.text).verifies(MESSAGE, device.sign(MESSAGE))
