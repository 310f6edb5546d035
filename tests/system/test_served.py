"""The real service on real footage under a signed authorisation: from the alert to the report, in a real browser."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason='the service needs pip install "pylfr[service]"')
pytest.importorskip("playwright.sync_api", reason="pages are tested with Playwright: pip install --group dev")

import httpx
from playwright.sync_api import Page, expect

from tests.cli.command import PYLFR, pylfr
from tests.service.browser import open_browsers, sign_in_on
from tests.service.stand import free_port
from tests.system.governed_case import PREPARE, shell, write_case

pytestmark = [
    pytest.mark.usefixtures("models_dir"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

PATIENCE_S = 90.0
SERVICE = """
[service]
port = {port}
[service.roles]
"Ann Example" = ["operator"]
"Bob Example" = ["second operator"]
"PC Cem Example" = ["engagement officer", "supervisor"]
"""


@pytest.fixture
def deployed(media_dir: Path, tmp_path: Path) -> tuple[Path, str]:
    """A governed deployment with its pages, signed for; and their address."""
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    write_case(tmp_path, media_dir, ends_at=ends_at)
    port, file = free_port(), tmp_path / "deployment.toml"
    # The certificates of the case are of float32.
    text = file.read_text().replace("[models]", '[models]\nruntime = "onnx"')
    file.write_text(text + SERVICE.format(port=port))
    prepared = shell(tmp_path, PREPARE, tomorrow=ends_at + timedelta(hours=20))
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    return tmp_path, f"http://127.0.0.1:{port}"


@contextmanager
def served(folder: Path, origin: str, *more: str) -> Iterator[None]:
    with (folder / "served.log").open("w") as log:
        process = subprocess.Popen(
            [PYLFR, "serve", folder / "deployment.toml", *more], stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )
        try:
            until = time.monotonic() + PATIENCE_S
            while not _answers(origin):
                assert process.poll() is None, (folder / "served.log").read_text()
                assert time.monotonic() < until
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _answers(origin: str) -> bool:
    try:
        return httpx.get(f"{origin}/sign-in").is_success
    except httpx.TransportError:
        return False


def decide(page: Page, word: str) -> None:
    page.locator("#actions").get_by_role("button", name=re.compile(f"^{word}")).click()
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.locator("#said")).to_contain_text(f"Recorded: {word}.")


def test_two_people_decide_blind_one_engages_and_the_report_follows(deployed: tuple[Path, str]) -> None:
    folder, origin = deployed
    with open_browsers() as browsers, browsers() as first, browsers() as second, browsers(width=390) as phone:
        with served(folder, origin):
            ann, bob, cem = first.new_page(), second.new_page(), phone.new_page()
            sign_in_on(ann, origin, "Ann Example", folder / "ann.key", passphrase="correct horse")
            sign_in_on(bob, origin, "Bob Example", folder / "bob.key")
            sign_in_on(cem, origin, "PC Cem Example", folder / "cem.key")
            expect(ann.locator("#name")).to_have_text(re.compile("REF-[12]"), timeout=PATIENCE_S * 1000)
            ann.locator("#probe").evaluate("image => image.decode()")
            decide(ann, "Same person")

            bob.goto(f"{origin}/second-look")
            expect(bob.locator("#name")).to_have_text(re.compile("REF-[12]"))
            assert "Ann" not in bob.locator("#alert").inner_text()
            expect(bob.locator("#facts")).to_contain_text("shown after your verdict")
            decide(bob, "Same person")

            cem.goto(f"{origin}/engagement")
            expect(cem.locator("#name")).to_have_text(re.compile("REF-[12]"))
            decide(cem, "Engage")
            decide(cem, "True alert")
            cem.goto(f"{origin}/deployment")
            cem.get_by_role("link", name="The public report").click()
            expect(cem.get_by_text(re.compile(r"\d+ possible match(es)?: 1 true, 0 false"))).to_be_visible()
        # Another process shows the same record, and controls no engine.
        with served(folder, origin, "--attach"):
            sign_in_on(cem, origin, "PC Cem Example", folder / "cem.key")
            assert cem.request.get(f"{origin}/v1/alerts?state=closed").json()["alerts"][0]["verdicts_in"] == 2
            refused = cem.request.post(
                f"{origin}/v1/deployment/stop", data={"because": "a test"}, headers={"Origin": origin}
            )
            assert "runs in another process" in refused.json()["detail"]
    verified = pylfr(
        "audit", "verify", folder / "audit.log", "--checkpoints", folder / "elsewhere.checkpoints", "--key",
        folder / "record.pub", "--authorisation", folder / "authorisation.json", "--records", folder / "records.sqlite",
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr
