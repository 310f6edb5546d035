"""Pictures of every page, from a service with a real engine beside it, for a designer's eye and for these documents.

    python -m docs.tools.screenshots FOLDER    # needs Chromium, Playwright and PYLFR_MODELS

The cameras see the street of ``make demo``, which is made of two public-domain portraits.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import BrowserContext, Page

from examples.demo import render_street
from tests.service.browser import Browsers, open_browsers, sign_in_on
from tests.service.running import Material, Running, running, wait_for

WIDTHS = {390: 844, 1280: 900, 2560: 1440}


def main() -> None:
    """Take every picture."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("folder", type=Path)
    given.add_argument("--dark", action="store_true", help="as people with a dark desktop see them")
    options = given.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pylfr-screenshots-") as folder,
        running(Path(folder), _street(Path(folder))) as square,
        open_browsers() as browsers,
    ):
        wait_for(lambda: bool(square.client("Ann").get("/v1/alerts").json()["alerts"]))
        for width, height in WIDTHS.items():
            with browsers(width=width, height=height) as context:
                _pages(context, square, options.folder, width, dark=options.dark)
        _decided(browsers, square, options.folder)


def _street(folder: Path) -> Material:
    render_street(folder, seconds=16.5)
    return Material(
        north=folder / "street.mp4", south=folder / "street.mp4", people={"Eileen Collins": folder / "collins.jpg"}
    )


def _pages(context: BrowserContext, square: Running, folder: Path, width: int, *, dark: bool) -> None:
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.goto(f"{square.origin}/sign-in")
    page.screenshot(path=folder / f"sign-in-{width}.png")
    for name, paths in (
        ("Ann", ("desk", "cameras")),
        ("Cem", ("engagement",)),
        ("Dee", ("deployment", "watchlist", "audit")),
    ):
        sign_in_on(page, square.origin, name, square.folder / f"{name}.key")
        for path in paths:
            page.goto(f"{square.origin}/{path}")
            page.wait_for_timeout(1500)
            page.screenshot(path=folder / f"{path}-{width}.png", full_page=path != "audit")
        if name == "Ann":
            _with_dialogs(page, square, folder, width)


def _with_dialogs(page: Page, square: Running, folder: Path, width: int) -> None:
    page.goto(f"{square.origin}/cameras")
    page.get_by_role("button", name="Preview").last.click()
    page.locator("#picture").wait_for()
    page.get_by_text("Draw a zone").click()
    box = page.locator("#zone").bounding_box()
    assert box is not None
    for across, down in ((0.1, 0.15), (0.9, 0.1), (0.95, 0.9), (0.2, 0.95)):
        page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
    page.screenshot(path=folder / f"preview-{width}.png")
    page.goto(f"{square.origin}/desk")
    page.get_by_role("button", name="Take over shift").click()
    page.locator("#open-alerts li").first.wait_for()
    page.screenshot(path=folder / f"hand-over-{width}.png")


def _decided(browsers: Browsers, square: Running, folder: Path) -> None:
    with browsers(width=390, height=844) as context:
        page = context.new_page()
        sign_in_on(page, square.origin, "Ann", square.folder / "Ann.key")
        page.get_by_role("button", name="Same person").click()
        page.get_by_role("button", name="Sign", exact=True).click()
        page.get_by_text("Recorded:").wait_for()
        sign_in_on(page, square.origin, "Cem", square.folder / "Cem.key")
        page.goto(f"{square.origin}/engagement")
        page.get_by_role("button", name="Engage E").wait_for()
        page.wait_for_timeout(1000)
        page.screenshot(path=folder / "engagement-confirmed-390.png", full_page=True)


if __name__ == "__main__":
    main()
