"""Pictures of every page, from a service with a real engine beside it, for a designer's eye and for these documents.

    python -m docs.tools.screenshots FOLDER    # needs Chromium, Playwright and PYLFR_MODELS

The cameras see the street of ``make demo``, which is made of two public-domain portraits.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, Page

from examples.demo import render_street
from tests.service.browser import Browsers, open_browsers, sign_in_on
from tests.service.running import Material, Running, running, wait_for

WIDTHS = {390: 844, 1280: 900, 2560: 1440}
SCHEMES = ("light", "dark")


def main() -> None:
    """Take every picture."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("folder", type=Path)
    given.add_argument("--width", type=int, action="append", choices=WIDTHS, help="only at this width; repeat")
    options = given.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    widths = options.width or [*WIDTHS]
    with (
        tempfile.TemporaryDirectory(prefix="pylfr-screenshots-") as folder,
        running(Path(folder), _street(Path(folder))) as square,
        open_browsers() as browsers,
    ):
        wait_for(lambda: bool(square.client("Ann").get("/v1/alerts").json()["alerts"]))
        for width in widths:
            for scheme in SCHEMES:
                with browsers(width=width, height=WIDTHS[width], dark=scheme == "dark") as context:
                    _pages(context, square, lambda page: options.folder / f"{page}-{width}-{scheme}.png")  # noqa: B023
        _decide(browsers, square)
        for width in widths:
            for scheme in SCHEMES:
                with browsers(width=width, height=WIDTHS[width], dark=scheme == "dark") as context:
                    _confirmed(context, square, options.folder / f"engagement-{width}-{scheme}.png")


def _street(folder: Path) -> Material:
    render_street(folder, seconds=16.5)
    return Material(
        north=folder / "street.mp4", south=folder / "street.mp4", people={"Eileen Collins": folder / "collins.jpg"}
    )


def _pages(context: BrowserContext, square: Running, file_of: Callable[[str], Path]) -> None:
    page = context.new_page()
    page.goto(f"{square.origin}/sign-in")
    page.get_by_text("Add a key to this browser").click()
    page.screenshot(path=file_of("sign-in"), full_page=True)
    for name, paths in (
        ("Ann", ("desk", "second-look", "cameras")),
        ("Dee", ("deployment", "cameras", "watchlist", "audit")),
    ):
        sign_in_on(page, square.origin, name, square.folder / f"{name}.key")
        for path in paths:
            page.goto(f"{square.origin}/{path}")
            page.wait_for_timeout(1500)
            page.screenshot(path=file_of(path), full_page=path not in ("audit", "desk"))
        if name == "Ann":
            _with_dialogs(page, square, file_of)


def _with_dialogs(page: Page, square: Running, file_of: Callable[[str], Path]) -> None:
    page.goto(f"{square.origin}/cameras")
    page.get_by_role("button", name="Preview").last.click()
    page.locator("#picture").wait_for()
    page.get_by_text("Draw a zone").click()
    box = page.locator("#zone").bounding_box()
    assert box is not None
    for across, down in ((0.1, 0.15), (0.9, 0.1), (0.95, 0.9), (0.2, 0.95)):
        page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
    page.screenshot(path=file_of("preview"))
    page.goto(f"{square.origin}/desk")
    page.get_by_role("button", name="Take over shift").click()
    page.locator("#open-alerts li").first.wait_for()
    page.screenshot(path=file_of("hand-over"))
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    page.locator("#confirm").wait_for()
    page.screenshot(path=file_of("desk-signing"), full_page=True)


def _decide(browsers: Browsers, square: Running) -> None:
    with browsers() as context:
        page = context.new_page()
        sign_in_on(page, square.origin, "Ann", square.folder / "Ann.key")
        page.get_by_role("button", name="Same person").click()
        page.get_by_role("button", name="Sign", exact=True).click()
        page.get_by_text("Recorded:").wait_for()


def _confirmed(context: BrowserContext, square: Running, file: Path) -> None:
    page = context.new_page()
    sign_in_on(page, square.origin, "Cem", square.folder / "Cem.key")
    page.goto(f"{square.origin}/engagement")
    page.locator("#actions button").first.wait_for()
    page.wait_for_timeout(1000)
    page.screenshot(path=file, full_page=True)


if __name__ == "__main__":
    main()
