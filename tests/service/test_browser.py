"""The pages as people use them, in a real browser: blind verdicts, engagement, refusals, a weak link, accessibility."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="pages are tested with Playwright: pip install --group dev")

from playwright.sync_api import Page, Route, expect

from pylfr.governance.keys.keys import make_key, read_signing_key
from tests.service.browser import Browsers, open_browsers, require_accessible, sign_in
from tests.service.stand import Stand


@pytest.fixture(scope="module")
def browsing() -> Iterator[Browsers]:
    with open_browsers() as browsers:
        yield browsers


pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def decide(page: Page, word: str) -> None:
    page.locator("#actions").get_by_role("button", name=re.compile(f"^{word}")).click()
    expect(page.locator("#about-to")).to_contain_text(word)
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.locator("#said")).to_contain_text(f"Recorded: {word}.")


def test_a_name_of_a_script_from_right_to_left_runs_in_its_own_direction(stand: Stand, browsing: Browsers) -> None:
    with browsing() as context:
        ann = sign_in(context, stand, "Ann")
        stand.alert(entry="محمد REF-7")
        expect(ann.locator("#name")).to_have_text("محمد REF-7")
        first, last = ann.locator("#name").evaluate(
            """head => [0, 5].map(place => {
                const range = document.createRange();
                range.setStart(head.firstChild, place);
                range.setEnd(head.firstChild, place + 1);
                return range.getBoundingClientRect().left;
            })"""
        )
        assert first > last


def test_two_people_adjudicate_blind_one_engages_and_the_outcome_follows(stand: Stand, browsing: Browsers) -> None:
    with browsing() as first, browsing() as second, browsing(width=390, height=844) as phone:
        ann, bob, cem = sign_in(first, stand, "Ann"), sign_in(second, stand, "Bob"), sign_in(phone, stand, "Cem")
        ann.get_by_text("Nothing is waiting here.").wait_for()
        id_ = stand.alert(entry="REF-1 Ada Lovelace")
        expect(ann.locator("#name")).to_have_text("REF-1 Ada Lovelace")
        expect(ann.locator("#said")).to_have_text("New alert from camera north.")
        expect(ann.locator("#facts")).to_contain_text("shown after your verdict")
        for part in ("probe", "reference", "scene"):
            expect(ann.locator(f"#{part}")).to_have_attribute("src", re.compile(part))
            ann.locator(f"#{part}").evaluate("image => image.decode()")
        ann.keyboard.press("s")
        ann.keyboard.press("Escape")
        expect(ann.locator("#confirm")).to_be_hidden()
        decide(ann, "Same person")

        bob.goto(f"{stand.origin}/second-look")
        expect(bob.locator("#name")).to_have_text("REF-1 Ada Lovelace")
        assert "Ann" not in bob.locator("#alert").inner_text()
        expect(bob.locator("#facts")).to_contain_text("shown after your verdict")
        bob.keyboard.press("s")
        bob.keyboard.press("Enter")
        expect(bob.locator("#said")).to_contain_text("Recorded: Same person.")

        expect(cem.locator("#name")).to_have_text("REF-1 Ada Lovelace")
        decide(cem, "Engage")
        expect(cem.locator("#state")).to_have_text("engaged")
        decide(cem, "True alert")
    decided = [(entry.kind, entry.details["by"], entry.details["what"]) for entry in stand.audit.entries()
               if "signature" in entry.details]  # fmt: skip
    assert decided == [
        ("adjudication", "Ann", "same person"),
        ("adjudication", "Bob", "same person"),
        ("engagement", "Cem", "engage"),
        ("outcome", "Cem", "true alert"),
    ]
    viewed = {(entry.details["by"], entry.details["part"]) for entry in stand.audit.entries("picture-viewed")}
    assert {("Ann", "probe"), ("Bob", "reference"), ("Cem", "scene")} <= viewed
    assert id_ in {entry.details["alert"] for entry in stand.audit.entries("outcome")}


def test_a_key_under_a_passphrase_signs_in_and_leaves_the_browser_no_way(stand: Stand, browsing: Browsers) -> None:
    make_key(stand.folder / "protected.pem", passphrase="correct horse")
    stand.keys["Ann"] = read_signing_key(stand.folder / "protected.pem", passphrase="correct horse")
    with browsing() as context:
        page = context.new_page()
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_label("Your name").fill("Ann")
        page.get_by_text("Add a key to this browser").click()
        page.get_by_label("Key file").set_input_files(stand.folder / "protected.pem")
        page.get_by_label("Its passphrase").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#said")).to_have_text("The passphrase is another one.")
        page.get_by_label("Its passphrase").fill("correct horse")
        page.get_by_role("button", name="Sign in").click()
        # It is no key of [people]: the service refuses it, and the browser has it now.
        expect(page.locator("#said")).to_contain_text("does not sign you in")
        exported = page.evaluate(
            """async () => {
              const { storedKey } = await import("/static/keys.js");
              const { key, text } = await storedKey("Ann");
              try { await crypto.subtle.exportKey("pkcs8", key); return "exported"; }
              catch (error) { return text; }
            }"""
        )
        assert exported == stand.keys["Ann"].public.text
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_a_file_that_is_no_key_is_refused_in_words(stand: Stand, browsing: Browsers, tmp_path: Path) -> None:
    (tmp_path / "notes.pem").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with browsing() as context:
        page = context.new_page()
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_label("Your name").fill("Ann")
        page.get_by_text("Add a key to this browser").click()
        page.get_by_label("Key file").set_input_files(tmp_path / "notes.pem")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#said")).to_contain_text("not a key")


def test_a_key_made_in_the_browser_shows_its_public_half(stand: Stand, browsing: Browsers) -> None:
    with browsing() as context:
        page = context.new_page()
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_label("Your name").fill("Newcomer")
        page.get_by_text("Add a key to this browser").click()
        page.get_by_role("button", name="Make a key in this browser").click()
        expect(page.locator("#public-key")).to_have_value(re.compile(r"^pylfr-ed25519 [A-Za-z0-9+/]{43}=$"))


def test_the_browser_signs_nothing_but_a_sign_in_to_this_site(stand: Stand, browsing: Browsers) -> None:
    with browsing() as context:
        page = sign_in(context, stand, "Ann")
        decision = json.dumps(["pylfr-decision-2", "adjudication", "a1", "Ann", "same person", "2026", ""])
        page.route(
            "**/v1/challenges",
            lambda route: route.fulfill(json={"nonce": "n", "message": decision, "expires_at": "2026"}),
        )
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_role("button", name="Ann").first.click()
        expect(page.locator("#said")).to_contain_text("Nothing was signed")


def test_the_desk_is_used_with_the_keyboard_alone(stand: Stand, browsing: Browsers) -> None:
    for number in (1, 2):
        stand.alert(entry=f"REF-{number}")
    with browsing() as context:
        ann = sign_in(context, stand, "Ann")
        tab_to(ann, "Sign out")
        ann.keyboard.press("Enter")
        ann.wait_for_url(f"{stand.origin}/sign-in")
        tab_to(ann, "Ann")
        ann.keyboard.press("Enter")
        expect(ann.locator("#name")).to_have_text("REF-1")
        ann.keyboard.press("j")
        expect(ann.locator("#name")).to_have_text("REF-2")
        ann.keyboard.press("k")
        expect(ann.locator("#name")).to_have_text("REF-1")
        ann.keyboard.press("d")
        expect(ann.locator("#about-to")).to_contain_text("Different person")
        ann.keyboard.press("Escape")
        expect(ann.locator("#confirm")).to_be_hidden()
        ann.keyboard.press("s")
        ann.keyboard.press("Enter")
        expect(ann.locator("#said")).to_contain_text("Recorded: Same person.")
        expect(ann.locator("#name")).to_have_text("REF-2")
        tab_to(ann, "Take over shift")
        ann.keyboard.press("Enter")
        expect(ann.get_by_label("You take over from")).to_be_visible()
        ann.keyboard.press("Escape")
        expect(ann.get_by_label("You take over from")).to_be_hidden()
        tab_to(ann, "Second look")
        ann.keyboard.press("Enter")
        expect(ann.locator("#queue li")).to_have_count(0)
    assert [entry.details["what"] for entry in stand.audit.entries("adjudication")] == ["same person"]


def tab_to(page: Page, words: str) -> None:
    """Press Tab until what begins with these words has the focus, and shows that it has."""
    for _ in range(40):
        page.keyboard.press("Tab")
        focused, outline = page.evaluate(
            "[document.activeElement.innerText ?? '', getComputedStyle(document.activeElement).outlineStyle]"
        )
        # Behind the last of them the focus is on none, once.
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
        if focused.startswith(words):
            return
    raise AssertionError(f"Tab never comes to {words!r}")


def test_a_reconnection_in_the_middle_loses_nothing(stand: Stand, browsing: Browsers) -> None:
    with browsing() as context:
        ann = sign_in(context, stand, "Ann")
        expect(ann.locator("#connection")).to_have_text("live")
        context.set_offline(True)
        ids = [stand.alert(entry=f"REF-{number}") for number in range(3)]
        context.set_offline(False)
        expect(ann.locator("#queue li")).to_have_count(len(ids), timeout=30_000)


def test_a_reconnection_between_two_verdicts_loses_neither(stand: Stand, browsing: Browsers) -> None:
    id_ = stand.alert()
    with browsing() as first, browsing() as second:
        ann, bob = sign_in(first, stand, "Ann"), sign_in(second, stand, "Bob")
        bob.goto(f"{stand.origin}/second-look")
        expect(bob.locator("#connection")).to_have_text("live")
        second.set_offline(True)
        decide(ann, "Same person")
        second.set_offline(False)
        expect(bob.locator("#name")).to_have_text("REF-1 Ada Lovelace", timeout=30_000)
        # A decision that is signed while there is no connection is sent once there is one, and once.
        bob.keyboard.press("s")
        second.set_offline(True)
        bob.keyboard.press("Enter")
        expect(bob.locator("#said")).to_contain_text("No connection: your decision is signed")
        second.set_offline(False)
        expect(bob.locator("#said")).to_contain_text("Recorded: Same person.", timeout=30_000)
    assert [entry.details["by"] for entry in stand.audit.entries("adjudication")] == ["Ann", "Bob"]
    assert stand.records.stored().alerts[0].id == id_


def test_a_third_persons_key_and_a_tampered_signature_are_refused(stand: Stand, browsing: Browsers) -> None:
    stand.alert()
    make_key(stand.folder / "mallory.pem")
    with browsing() as context:
        page = context.new_page()
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_label("Your name").fill("Ann")
        page.get_by_text("Add a key to this browser").click()
        page.get_by_label("Key file").set_input_files(stand.folder / "mallory.pem")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#said")).to_contain_text("does not sign you in")
    with browsing() as context:
        ann = sign_in(context, stand, "Ann")

        def tamper(route: Route) -> None:
            body = json.loads(route.request.post_data or "")
            route.continue_(post_data=json.dumps({**body, "what": "different person"}))

        ann.route("**/verdicts", tamper)
        ann.locator("#actions").get_by_role("button", name="Same person").click()
        ann.get_by_role("button", name="Sign", exact=True).click()
        expect(ann.locator("#said")).to_contain_text("the signature is not that of 'Ann' over this decision")
    assert "adjudication" not in stand.kinds()


def test_a_mistaken_verdict_is_amended_with_a_reason_by_an_entry_that_names_it(
    stand: Stand, browsing: Browsers
) -> None:
    stand.alert()
    with browsing() as context:
        ann = sign_in(context, stand, "Ann")
        decide(ann, "Different person")
        ann.locator("[data-tab=all]").click()
        ann.get_by_role("button", name="Amend my verdict…").click()
        ann.locator("#actions").get_by_role("button", name="Same person").click()
        expect(ann.locator("#about-to")).to_contain_text("in place of what you said before")
        expect(ann.get_by_role("button", name="Sign", exact=True)).to_be_disabled()
        ann.get_by_label("What was mistaken").fill("the wrong button")
        ann.get_by_role("button", name="Sign", exact=True).click()
        expect(ann.locator("#said")).to_contain_text("Recorded: Same person.")
    first, amended = stand.audit.entries("adjudication", "verdict-amended")
    assert (amended.kind, amended.details["amends"]) == ("verdict-amended", str(first.sequence))
    assert amended.details["reason"] == "the wrong button"


def test_the_policys_reason_is_asked_for_before_anything_is_signed(stand: Stand, browsing: Browsers) -> None:
    stand.alert()
    with browsing() as context:
        ann = sign_in(context, stand, "Ann")
        ann.locator("#actions").get_by_role("button", name="Cannot tell").click()
        expect(ann.get_by_role("button", name="Sign", exact=True)).to_be_disabled()
        ann.get_by_label("Reason (the policy asks for it)").fill("turned away")
        ann.keyboard.press("Enter")
        expect(ann.locator("#said")).to_contain_text("Recorded: Cannot tell.")
    (entry,) = stand.audit.entries("adjudication")
    assert entry.details["reason"] == "turned away"


def test_a_shift_is_taken_over_by_name(stand: Stand, browsing: Browsers) -> None:
    ids = {stand.alert(entry=f"REF-{number}") for number in range(2)}
    with browsing() as context:
        bob = sign_in(context, stand, "Bob")
        bob.get_by_role("button", name="Take over shift").click()
        signing = bob.get_by_role("button", name="Sign and take over")
        expect(bob.locator("#open-alerts li")).to_have_count(2)
        bob.get_by_label("You take over from").select_option("Ann")
        bob.locator("#open-alerts input").first.check()
        expect(signing).to_be_disabled()
        bob.locator("#open-alerts input").last.check()
        signing.click()
        expect(bob.locator("#said")).to_contain_text("you have taken over from Ann, 2 open alerts")
    (entry,) = stand.audit.entries("hand-over")
    assert set(str(entry.details["alerts"]).split()) == ids


def test_after_the_deadline_nothing_is_shown_and_nothing_is_in_the_browser(stand: Stand, browsing: Browsers) -> None:
    stand.alert(retention=timedelta(minutes=30))
    with browsing(width=390, height=844) as phone:
        ann = sign_in(phone, stand, "Ann")
        expect(ann.locator("#name")).to_have_text("REF-1 Ada Lovelace")
        ann.locator("#probe").evaluate("image => image.decode()")
        # Also where the phone has lost its connection: the page itself enforces the deadline.
        phone.set_offline(True)
        ann.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=31))
        expect(ann.locator("#name")).to_have_text("(erased)")
        expect(ann.locator("#probe")).not_to_have_attribute("src", re.compile("probe"))
        assert "Lovelace" not in ann.content()
        phone.set_offline(False)
        stored = ann.evaluate(
            """async () => {
              const databases = (await indexedDB.databases()).map((each) => each.name);
              const caches_ = await caches.keys();
              return [databases, caches_, Object.keys(localStorage), Object.keys(sessionStorage)];
            }"""
        )
        assert stored == [["pylfr"], [], [], []]
        ann.close()
        left = b"".join(map(content_of, browsing.profiles[0].rglob("*")))
    assert b"Lovelace" not in left
    assert b"\xff\xd8\xff\xe0" not in left  # no JPEG


def content_of(path: Path) -> bytes:
    """What is in a file of a browser that runs and may remove it."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""


def test_the_page_of_the_engagement_officer_can_be_installed(stand: Stand, browsing: Browsers) -> None:
    with browsing(width=390, height=844) as phone:
        cem = sign_in(phone, stand, "Cem")
        session = phone.new_cdp_session(cem)
        errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
        assert [each["errorId"] for each in errors if each["errorId"] != "in-incognito"] == []


def test_the_desk_says_that_the_window_has_ended(stand: Stand, browsing: Browsers) -> None:
    with browsing() as context:
        ann = sign_in(context, stand, "Ann")
        expect(ann.locator("#window")).to_contain_text("The authorised window ends")
        ends = stand.resources.deployment.authorisation
        assert ends is not None
        ann.clock.set_fixed_time(ends.ends_at + timedelta(minutes=1))
        expect(ann.locator("#window")).to_have_text("The authorised window has ended.")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [(320, 640), (1280, 900), (3840, 2160)])
def test_pages_have_no_accessibility_violation_and_fit_their_width(
    stand: Stand, browsing: Browsers, size: tuple[int, int], dark: bool
) -> None:
    stand.alert(entry="Somebody with a very long name that goes on, and on, and on")
    with browsing(width=size[0], height=size[1], dark=dark) as context:
        for name, paths in (
            ("Ann", ("/desk", "/second-look")),
            ("Dee", ("/deployment", "/cameras")),
            ("Eve", ("/audit",)),
            ("Cem", ("/engagement",)),
        ):
            page = sign_in(context, stand, name)
            for path in paths:
                page.goto(stand.origin + path)
                page.wait_for_load_state("load")
                require_accessible(page)
                wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, path
                if path in ("/desk", "/engagement"):
                    page.get_by_role("button", name="Take over shift").click()
                    expect(page.get_by_label("You take over from")).to_be_visible()
                    require_accessible(page)
        page = context.new_page()
        page.goto(f"{stand.origin}/sign-in")
        page.get_by_text("Add a key to this browser").click()
        require_accessible(page)
