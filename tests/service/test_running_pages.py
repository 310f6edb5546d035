"""The pages of a run in a real browser: a covered preview, a zone, a higher threshold, the watchlist, an end."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="pages are tested with Playwright: pip install --group dev")

from playwright.sync_api import expect

from pylfr.deployment.sections.cameras import ZoneSection
from tests.service.browser import Browsers, open_browsers, require_accessible, sign_in_on
from tests.service.running import Running, footage, running, wait_for

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def browsing() -> Iterator[Browsers]:
    with open_browsers() as browsers:
        yield browsers


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory, media_dir: Path, models_dir: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("square")
    with running(folder, footage(media_dir, folder)) as made:
        yield made


def test_a_zone_is_drawn_on_a_covered_preview_and_becomes_lines_that_a_deployment_takes(
    square: Running, browsing: Browsers
) -> None:
    with browsing() as context:
        page = context.new_page()
        sign_in_on(page, square.origin, "Ann", square.folder / "Ann.key")
        page.goto(f"{square.origin}/cameras")
        expect(page.locator('[data-camera="south"] [data-cell="rate"]')).to_contain_text("a second")
        page.locator('[data-camera="south"]').get_by_role("button", name="Preview").click()
        expect(page.locator("#picture")).to_be_visible(timeout=30_000)
        page.get_by_text("Draw a zone").click()
        box = page.locator("#zone").bounding_box()
        picture = page.locator("#picture").bounding_box()
        assert box == picture  # a corner is where it is clicked
        assert box is not None
        for across, down in ((0.1, 0.2), (0.9, 0.2), (0.5, 0.9)):
            page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
        page.get_by_role("button", name="Leave this area out").click()
        for x, y in (("10", "10"), ("20", "10"), ("20", "30")):
            page.get_by_label("Across").fill(x)
            page.get_by_label("Down").fill(y)
            page.get_by_role("button", name="Add corner").click()
        require_accessible(page)
        lines = page.locator("#toml").input_value()
        zone = ZoneSection.model_validate(tomllib.loads(lines)["cameras"]["zone"])
        assert [round(share, 1) for corner in zone.watch for share in corner] == [0.1, 0.2, 0.9, 0.2, 0.5, 0.9]
        assert zone.ignore == (((0.1, 0.1), (0.2, 0.1), (0.2, 0.3)),)
        page.get_by_role("button", name="Close").click()
    assert square.kinds().count("preview-opened") == 1


def test_a_supervisor_raises_the_threshold_keeps_the_watchlist_and_ends_the_run(
    square: Running, browsing: Browsers
) -> None:
    with browsing() as context:
        page = context.new_page()
        sign_in_on(page, square.origin, "Dee", square.folder / "Dee.key")
        page.goto(f"{square.origin}/deployment")
        require_accessible(page)
        page.locator("#threshold").fill("0.1")
        page.get_by_role("button", name="Raise threshold").click()
        expect(page.locator("#said")).to_contain_text("a lower one needs another authorisation")
        page.locator("#threshold").fill("0.55")
        page.get_by_role("button", name="Raise threshold").click()
        expect(page.locator("#threshold-now")).to_have_text("0.550")

        page.goto(f"{square.origin}/watchlist")
        require_accessible(page)
        page.get_by_label("Name of the entry").fill("woman")
        page.get_by_label("Picture", exact=True).set_input_files(next(square.folder.glob("woman*")))
        page.get_by_role("button", name="Propose").click()
        expect(page.get_by_role("heading", name="woman")).to_be_visible(timeout=30_000)
        page.locator(".card", has_text="woman").get_by_role("button", name="Withdraw").click()
        require_accessible(page)
        page.get_by_role("button", name="Do it").click()
        expect(page.locator("#because")).to_be_focused()  # not without a reason
        page.get_by_label("Reason.").fill("found")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="woman")).to_have_count(0)

        page.goto(f"{square.origin}/deployment")
        page.get_by_role("button", name="Stop the run").click()
        require_accessible(page)
        page.get_by_label("Reason.").fill("a test ends")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text("The run is ending.")
        wait_for(lambda: "run-ended" in square.kinds())
        page.reload()
        expect(page.get_by_text("stopped by Dee: a test ends")).to_be_visible()
    (removed,) = square.resources.audit.entries("removed-from-watchlist")
    assert (removed.details["by"], removed.details["because"]) == ("Dee", "found")
