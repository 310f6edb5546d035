"""How long an alert takes from its record to the page: one desk in a real browser, on a machine that does little else.

Alerts with sealed pictures are recorded at a steady rate: first beside an engine that analyses two cameras, then after
its run. An alert is on the page in the first frame in which the browser draws its row in the queue; it was recorded at
the time of its entry in the log, before that is signed and on disk. Writes benchmarks/results/alert_to_page.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from benchmarks.service_load import frames_a_second, send
from tests.service.browser import open_browsers, sign_in_on
from tests.service.running import Running, footage, running, wait_for

# When each row of the queue was first drawn, by the id of its alert, milliseconds since the epoch.
_WATCH_ROWS = """() => {
  window.drawn = {};
  const queue = document.getElementById("queue");
  new MutationObserver(() => requestAnimationFrame(() => {
    const now = Date.now();
    for (const row of queue.querySelectorAll("a")) window.drawn[row.hash.slice(1)] ??= now;
  })).observe(queue, { childList: true });
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTimes:
    """Milliseconds from the record of an alert to its row on the page."""

    ms: Spread
    p95_ms: float
    p99_ms: float
    within_200_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertToPage:
    """One desk; ``engine_fps`` are frames a second that the engine analyses, ``load_average`` is of one minute."""

    alerts_a_second: float
    engine_fps: float
    beside_engine: PageTimes
    after_run: PageTimes
    load_average: float


def page_times(page: Page, square: Running, count: int, hz: float) -> PageTimes:
    """Record ``count`` alerts, and read from the page when each was drawn. Raises where one never was."""
    after = square.resources.audit.head.sequence
    send(square, count, hz)
    recorded = {str(each.details["alert"]): each.at for each in square.resources.audit.entries("alert", after=after)}
    wait_for(lambda: bool(page.evaluate("ids => ids.every(id => id in window.drawn)", list(recorded))), seconds=20.0)
    drawn: dict[str, float] = page.evaluate("window.drawn")
    waits_ms = [drawn[id_] - at.timestamp() * 1000 for id_, at in recorded.items()]
    print(" ".join(f"{wait:.0f}" for wait in sorted(waits_ms)))
    return PageTimes(
        ms=_rounded(spread_of(waits_ms)),
        p95_ms=round(float(np.percentile(waits_ms, 95)), 1),
        p99_ms=round(float(np.percentile(waits_ms, 99)), 1),
        within_200_ms=sum(wait <= 200 for wait in waits_ms),
    )


def _rounded(spread: Spread) -> Spread:
    return Spread(
        median=round(spread.median, 1),
        min=round(spread.min, 1),
        max=round(spread.max, 1),
        repeats=spread.repeats,
        warmup=spread.warmup,
    )


def measure(page: Page, square: Running, count: int, hz: float) -> AlertToPage:
    """Beside the engine, and after its run."""
    load_average = os.getloadavg()[0]
    engine_fps = frames_a_second(square, 5.0)
    page_times(page, square, 5, hz)  # the first of anything is no measure
    beside = page_times(page, square, count, hz)
    square.engine.stop()
    wait_for(lambda: "run-ended" in square.kinds())
    return AlertToPage(
        alerts_a_second=hz,
        engine_fps=round(engine_fps, 2),
        beside_engine=beside,
        after_run=page_times(page, square, count, hz),
        load_average=round(load_average, 1),
    )


def main() -> None:
    """Measure, print and write."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--alerts", type=int, default=60, help="alerts beside the engine, and as many after its run")
    given.add_argument("--hz", type=float, default=2.0)
    given.add_argument("--dry-run", action="store_true", help="write no results")
    options = given.parse_args()
    machine = this_machine()
    print_machine(machine)
    media = Path(os.environ["PYLFR_MEDIA"])
    with (
        tempfile.TemporaryDirectory(prefix="pylfr-page-") as folder,
        running(Path(folder), footage(media, Path(folder))) as square,
        open_browsers() as browsers,
        browsers() as context,
    ):
        page = context.new_page()
        sign_in_on(page, square.origin, "Ann", square.folder / "Ann.key")
        page.locator("#connection[data-state=connected]").wait_for()
        page.evaluate(_WATCH_ROWS)
        found = measure(page, square, options.alerts, options.hz)
    for name, each in (("beside the engine", found.beside_engine), ("after its run", found.after_run)):
        print(f"{name}: {each.within_200_ms} of {each.ms.repeats} within 200 ms of their record; median "
              f"{each.ms.median} ms, {each.ms.min} to {each.ms.max}, p95 {each.p95_ms}, p99 {each.p99_ms}")  # fmt: skip
    print(f"{found.alerts_a_second} alerts a second, {found.engine_fps} frames a second, load average before "
          f"{found.load_average}")  # fmt: skip
    if not options.dry_run:
        print(f"written to {write_results('alert_to_page', machine, found)}")


if __name__ == "__main__":
    main()
