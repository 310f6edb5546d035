"""Debian's Chromium under Playwright: real pages, real keys in the browser, real signatures."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright

from tests.service.stand import Stand

# A machine that is busy answers late; what is expected is looked for all the time.
expect.set_options(timeout=20_000)

# Nothing of the browser's own may look for a network.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
# What is narrower is a phone.
NARROW_PX = 500
# The rules that axe checks: some of WCAG 2.2 it leaves out where nobody asks.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Browsers:
    """Browsers with a profile of their own each, which is gone afterwards."""

    def __init__(self, playwright: Playwright, chromium: str) -> None:
        self._playwright = playwright
        self._chromium = chromium
        # The folders of the browsers that are open, the last one first.
        self.profiles: list[Path] = []

    @contextmanager
    def __call__(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[BrowserContext]:
        with tempfile.TemporaryDirectory(prefix="pylfr-browser-") as profile:
            context = self._playwright.chromium.launch_persistent_context(
                profile,
                executable_path=self._chromium,
                args=list(ARGUMENTS),
                headless=True,
                viewport={"width": width, "height": height},
                locale="en-GB",
                color_scheme="dark" if dark else "light",
                has_touch=width < NARROW_PX,
            )
            self.profiles.insert(0, Path(profile))
            try:
                yield context
            finally:
                context.close()
                self.profiles.remove(Path(profile))


@contextmanager
def open_browsers() -> Iterator[Browsers]:
    """Chromium, as Debian packages it; skips where it is not installed."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian's package chromium): pages are not tested in a browser")
    with sync_playwright() as playwright:
        yield Browsers(playwright, chromium)


def sign_in(context: BrowserContext, stand: Stand, name: str, *, key: Path | None = None, passphrase: str = "") -> Page:
    """A page of somebody who signed in with the key file that ``pylfr authority keygen`` made."""
    page = context.new_page()
    sign_in_on(page, stand.origin, name, key or stand.folder / f"{name}.pem", passphrase=passphrase)
    return page


def sign_in_on(page: Page, origin: str, name: str, key: Path, *, passphrase: str = "") -> None:
    """Sign in on a page with a key file."""
    page.goto(f"{origin}/sign-in")
    page.get_by_label("Your name").fill(name)
    page.get_by_text("Add a key to this browser").click()
    page.get_by_label("Key file").set_input_files(key)
    page.get_by_label("Its passphrase").fill(passphrase)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(lambda url: not url.endswith("/sign-in"))


def require_accessible(page: Page) -> None:
    """Fails where axe finds a violation of WCAG 2.2 A or AA, or of what its authors hold to be good practice."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="accessibility is checked with axe")
    found = axe.Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert found.violations_count == 0, found.generate_report()
