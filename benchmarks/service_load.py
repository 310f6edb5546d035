"""Many desks and many alerts: how long from an alert's record to the page, and what it costs the server.

Desks are connections that follow events; alerts are recorded with sealed pictures, at a steady rate, as by an engine.
All of it is one process here, desks included, whose share of a core is counted. Writes
benchmarks/results/service_load.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np

from benchmarks.measure import print_machine, resident_mb, this_machine, write_results
from tests.service.stand import Stand, standing


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLoad:
    """Milliseconds from the capture time of an alert to its arrival at a desk, over all desks and alerts."""

    desks: int
    alerts: int
    seconds: float
    expected_events: int
    received_events: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    alerts_a_second: float
    memory_mb_before: float
    memory_mb_after: float
    processor_share: float


async def follow(stand: Stand, cookies: dict[str, str], count: int, waits_ms: list[float]) -> None:
    """One desk, until it has received ``count`` alerts."""
    received = 0
    async with (
        httpx.AsyncClient(base_url=stand.origin, cookies=cookies, timeout=60.0) as client,
        client.stream("GET", "/v1/events") as answer,
    ):
        event = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data" and event == "alert":
                told = json.loads(value)
                captured = datetime.fromisoformat(told["captured_at"])
                waits_ms.append((datetime.now(UTC) - captured).total_seconds() * 1000)
                received += 1
                if received == count:
                    return


def send(stand: Stand, count: int, hz: float, taken: list[float]) -> None:
    """Record ``count`` alerts, ``hz`` a second."""
    began = time.perf_counter()
    crop = np.full((256, 256, 3), 120, np.uint8)
    for number in range(count):
        time.sleep(max(0.0, began + number / hz - time.perf_counter()))
        stand.alert(entry=f"REF-{number}", crop=crop)
    taken.append(time.perf_counter() - began)


async def measure(stand: Stand, desks: int, count: int, hz: float) -> ServiceLoad:
    cookies = dict(stand.client("Ann").cookies)
    waits_ms: list[float] = []
    before, spent = resident_mb(), time.process_time()
    followers = [asyncio.create_task(follow(stand, cookies, count, waits_ms)) for _ in range(desks)]
    await asyncio.sleep(2.0)
    taken: list[float] = []
    began = time.perf_counter()
    await asyncio.to_thread(send, stand, count, hz, taken)
    _, late = await asyncio.wait(followers, timeout=30.0)
    for each in late:
        each.cancel()
    seconds = time.perf_counter() - began
    return ServiceLoad(
        desks=desks,
        alerts=count,
        seconds=round(seconds, 1),
        expected_events=desks * count,
        received_events=len(waits_ms),
        p50_ms=round(float(np.percentile(waits_ms, 50)), 1),
        p99_ms=round(float(np.percentile(waits_ms, 99)), 1),
        max_ms=round(max(waits_ms), 1),
        alerts_a_second=round(count / taken[0], 1),
        memory_mb_before=round(before, 1),
        memory_mb_after=round(resident_mb(), 1),
        processor_share=round((time.process_time() - spent) / seconds, 2),
    )


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--desks", type=int, default=50)
    given.add_argument("--hz", type=float, default=20.0)
    given.add_argument("--seconds", type=float, default=60.0)
    given.add_argument("--dry-run", action="store_true", help="write no results")
    options = given.parse_args()
    machine = this_machine()
    print_machine(machine)
    with tempfile.TemporaryDirectory(prefix="pylfr-service-") as folder, standing(Path(folder)) as stand:
        load = asyncio.run(measure(stand, options.desks, round(options.hz * options.seconds), options.hz))
    print(f"{load.desks} desks, {load.alerts_a_second} alerts a second for {load.seconds} s: "
          f"{load.received_events} of {load.expected_events} events, p50 {load.p50_ms} ms, p99 {load.p99_ms} ms, "
          f"at most {load.max_ms} ms; {load.processor_share} of a core, all in one process, "
          f"memory {load.memory_mb_before} to {load.memory_mb_after} MB")  # fmt: skip
    if not options.dry_run:
        print(f"written to {write_results('service_load', machine, load)}")


if __name__ == "__main__":
    main()
