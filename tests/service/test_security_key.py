"""Security keys on the pages and over HTTP: who signs in and decides with one, and what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

pytest.importorskip("playwright.sync_api", reason="pages are tested with Playwright: pip install --group dev")

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import BrowserContext, CDPSession, Page, expect

from pylfr._internal.canonical_json import canonical, utc_text
from pylfr.errors import ConfigError
from pylfr.governance.adjudication.signatures import verify_decisions
from pylfr.governance.keys.person_key import parse_person_key, verifies
from pylfr.service.app import build_app
from tests.cli.command import pylfr
from tests.governance.reviews import entries_of
from tests.governance.security_key import PRESENT, SecurityKey
from tests.service.browser import Browsers, open_browsers
from tests.service.stand import Stand, free_port, standing

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def browsing() -> Iterator[Browsers]:
    with open_browsers() as browsers:
        yield browsers


@pytest.fixture
def device() -> SecurityKey:
    return SecurityKey(origin=f"http://localhost:{free_port()}")


@pytest.fixture
def stand(tmp_path: Path, device: SecurityKey) -> Iterator[Stand]:
    """Ann has a security key, everybody else a key in a file."""
    port = int(device.origin.rpartition(":")[2])
    with standing(tmp_path, port=port, security_keys={"Ann": device.public.text}) as made:
        yield made


def plugged_in(context: BrowserContext, page: Page, device: SecurityKey | None = None) -> tuple[CDPSession, str]:
    """Chromium's own virtual security key, with the key of ``device`` on it: what controls it, and its id."""
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "usb", "hasResidentKey": True, "hasUserVerification": True,
               "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip
    id_ = str(session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"])
    if device is not None:
        private = device.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        credential = {
            "credentialId": base64.b64encode(b"credential of ann").decode(), "isResidentCredential": True,
            "rpId": "localhost", "privateKey": base64.b64encode(private).decode(),
            "userHandle": base64.b64encode(b"ann").decode(), "signCount": 0,
        }  # fmt: skip
        session.send("WebAuthn.addCredential", {"authenticatorId": id_, "credential": credential})
    return session, id_


def test_somebody_signs_in_and_decides_with_a_security_key(
    stand: Stand, browsing: Browsers, device: SecurityKey
) -> None:
    id_ = stand.alert()
    with browsing() as context:
        page = context.new_page()
        plugged_in(context, page, device)
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_label("Your name").fill("Ann")
        page.get_by_role("button", name="Use a security key").click()
        expect(page.locator("#name")).to_have_text("REF-1 Ada Lovelace")
        page.keyboard.press("s")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("Recorded: Same person.")
        # The browser knows from now on whose key that is.
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_role("button", name="Ann", exact=True).click()
        page.wait_for_url(f"{stand.origin}/desk")
    (entry,) = stand.audit.entries("adjudication")
    assert (entry.details["by"], entry.details["key"]) == ("Ann", device.public.text)
    assert list(verify_decisions(entries_of(stand.folder), {"Ann": device.public.text})) == []
    verified = pylfr(
        "audit", "verify", stand.folder / "audit.log", "--checkpoints", stand.folder / "elsewhere", "--key",
        stand.folder / "record.pub",
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    assert stand.records.stored().decisions[0].alert == id_


def test_without_the_owners_pin_nothing_is_signed(stand: Stand, browsing: Browsers, device: SecurityKey) -> None:
    stand.alert()
    with browsing() as context:
        page = context.new_page()
        session, key = plugged_in(context, page, device)
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_label("Your name").fill("Ann")
        page.get_by_role("button", name="Use a security key").click()
        expect(page.locator("#name")).to_have_text("REF-1 Ada Lovelace")
        session.send("WebAuthn.setUserVerified", {"authenticatorId": key, "isUserVerified": False})
        page.keyboard.press("s")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("The security key did not sign")
    assert "adjudication" not in stand.kinds()


def test_a_key_made_on_a_security_key_shows_a_line_whose_owner_can_sign(stand: Stand, browsing: Browsers) -> None:
    with browsing() as context:
        page = context.new_page()
        plugged_in(context, page)
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_label("Your name").fill("Newcomer")
        page.get_by_text("Add a key to this browser").click()
        page.get_by_role("button", name="Make a key on a security key").click()
        expect(page.locator("#said")).to_contain_text("The key was made")
        line = page.locator("#public-key").input_value()
        signature = page.evaluate(
            """async () => {
              const { sign, storedKey } = await import("/static/keys.js");
              return sign(await storedKey("Newcomer"), "what is signed for");
            }"""
        )
    key = parse_person_key(line)
    assert line.startswith(f"pylfr-webauthn {stand.origin} ")
    assert verifies(key, b"what is signed for", signature)
    assert not verifies(key, b"something else", signature)


WRONG: dict[str, Callable[[SecurityKey, bytes], str]] = {
    "another origin": lambda device, words: device.sign(words, client={"origin": "https://evil.example"}),
    "another challenge": lambda device, words: device.sign(words, client={"challenge": "AAAA"}),
    "nobody there": lambda device, words: device.sign(words, flags=0),
    "nobody known": lambda device, words: device.sign(words, flags=PRESENT),
    "another host": lambda device, words: device.sign(words, host="evil.example"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_assertion_that_is_wrong_in_one_thing_signs_nobody_in_and_decides_nothing(
    stand: Stand, device: SecurityKey, wrong: str
) -> None:
    id_ = stand.alert()
    ann = stand.client()

    def sign_in(sign: Callable[[SecurityKey, bytes], str]) -> httpx.Response:
        challenge = ann.post("/v1/challenges", json={"name": "Ann"}).json()
        signature = sign(device, challenge["message"].encode())
        return ann.post("/v1/session", json={"nonce": challenge["nonce"], "signature": signature})

    refused = sign_in(WRONG[wrong])
    assert refused.status_code == 403
    assert "this does not sign you in" in refused.json()["detail"]
    assert sign_in(SecurityKey.sign).status_code == 201
    at = utc_text(datetime.now(UTC))
    words = canonical(["pylfr-decision-2", "adjudication", id_, "Ann", "same person", at, ""])
    body = {"what": "same person", "decided_at": at, "reason": ""}
    refused = ann.post(f"/v1/alerts/{id_}/verdicts", json={**body, "signature": WRONG[wrong](device, words)})
    assert refused.status_code == 409
    assert "the signature is not that of 'Ann'" in refused.json()["detail"]
    assert "adjudication" not in stand.kinds()
    taken = ann.post(f"/v1/alerts/{id_}/verdicts", json={**body, "signature": device.sign(words)})
    assert taken.status_code == 201, taken.text


def test_a_security_key_for_other_pages_does_not_start_here(stand: Stand, device: SecurityKey) -> None:
    elsewhere = SecurityKey(origin="https://desk.example", private=device.private)
    stand.resources.people["Ann"] = elsewhere.public
    with pytest.raises(ConfigError, match=r"'Ann' signs for pages at https://desk\.example, these are at http"):
        build_app(stand.resources)


def test_where_a_browser_has_no_security_keys_the_page_offers_none(stand: Stand, browsing: Browsers) -> None:
    with browsing() as context:
        page = context.new_page()
        page.goto(f"{stand.origin.replace('localhost', '127.0.0.1')}/sign-in")
        expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="Use a security key")).to_be_hidden()
        assert json.loads(page.locator("#texts").inner_text())["security-key-failed"]
