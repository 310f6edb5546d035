"""Many desks and many alerts: how long from an alert's record to the page, and what it costs the engine beside it.

A real engine analyses two cameras in the process of the service, as `pylfr serve` runs them; alerts with sealed
pictures are recorded beside it at a steady rate. Desks are connections that follow events, in a process of their own on
the same machine. Writes benchmarks/results/service_load.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np

from benchmarks.measure import print_machine, resident_mb, this_machine, write_results
from pylfr._internal.steady_clock import steady_now
from pylfr.deployment.unqueued import review_rules
from pylfr.sinks.delivery import deliver_from_memory
from pylfr.sinks.evidence import open_sealed_evidence
from pylfr.sinks.review import ReviewQueue
from tests.samples import sample_alert
from tests.service.running import Running, footage, running

RETENTION = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLoad:
    """Milliseconds from the capture time of an alert to its arrival at a desk, over all desks and alerts.

    ``engine_fps_alone`` and ``engine_fps_under_load`` are analysed frames a second without desks and with them.
    ``load_average`` is that of the whole machine, one minute, before anything was measured.
    """

    desks: int
    alerts: int
    seconds: float
    expected_events: int
    received_events: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    alerts_a_second: float
    engine_fps_alone: float
    engine_fps_under_load: float
    memory_mb_before: float
    memory_mb_half_way: float
    memory_mb_after: float
    processor_share: float
    load_average: float


async def follow(origin: str, cookies: dict[str, str], after: int, count: int, waits_ms: list[float]) -> None:
    """One desk, until it has received ``count`` of the alerts that are recorded here, from entry ``after`` on."""
    received = 0
    async with (
        httpx.AsyncClient(base_url=origin, cookies=cookies, timeout=60.0) as client,
        client.stream("GET", "/v1/events", params={"after": after}) as answer,
    ):
        event = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data" and event == "alert":
                told = json.loads(value)
                if not str(told["possible_match"]).startswith("REF-"):
                    continue
                captured = datetime.fromisoformat(told["captured_at"])
                waits_ms.append((datetime.now(UTC) - captured).total_seconds() * 1000)
                received += 1
                if received == count:
                    return


async def follow_all(
    origin: str, cookies: dict[str, str], desks: int, after: int, count: int, timeout_s: float
) -> list[float]:
    """All desks; what each waited for each alert."""
    waits_ms: list[float] = []
    followers = [asyncio.create_task(follow(origin, cookies, after, count, waits_ms)) for _ in range(desks)]
    await asyncio.sleep(2.0)
    print("ready", flush=True)
    _, late = await asyncio.wait(followers, timeout=timeout_s)
    for each in late:
        each.cancel()
    return waits_ms


def send(square: Running, count: int, hz: float) -> float:
    """Record ``count`` alerts as an engine does, ``hz`` a second; how long that took."""
    resources = square.resources
    (section,) = [sink for sink in resources.deployment.sinks if sink.type == "evidence"]
    key = resources.evidence_key(section, expires_at=datetime.now(UTC) + RETENTION)
    permit = resources.deployment.authorisation
    assert key is not None
    assert permit is not None
    evidence = open_sealed_evidence(section.folder, key, retention=RETENTION)
    # As in an engine, people's queue is filled by a thread of its own.
    review = ReviewQueue(resources.require_records(), review_rules(resources), clock=steady_now)
    queue = deliver_from_memory(review)
    crop = np.full((256, 256, 3), 120, np.uint8)
    began = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number / hz - time.perf_counter()))
        made = replace(
            sample_alert(entry=f"REF-{number}", authorisation=permit.reference),
            id=str(uuid.uuid4()),
            captured_at=datetime.now(UTC),
            crop=crop,
            scene=np.full((270, 480, 3), 90, np.uint8),
        )
        recorded = resources.audit.record(made)
        evidence.send(recorded)
        queue.send(recorded)
    took = time.perf_counter() - began
    queue.close()
    return took


def frames_a_second(square: Running, seconds: float) -> float:
    """How many frames the engine analyses a second, over ``seconds`` from now on."""
    before, began = square.engine.summary().detected_frames, time.perf_counter()
    time.sleep(seconds)
    return (square.engine.summary().detected_frames - before) / (time.perf_counter() - began)


def measure(square: Running, desks: int, count: int, hz: float) -> ServiceLoad:
    """One load, after the engine alone."""
    load_average = os.getloadavg()[0]
    alone = frames_a_second(square, 20.0)
    cookies = dict(square.client("Ann").cookies)
    after = square.resources.audit.head.sequence
    asked = json.dumps([square.origin, cookies, desks, after, count, 5 * count / hz + 60.0])
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.service_load", "--follow", asked], stdout=subprocess.PIPE, text=True
    ) as followers:
        assert followers.stdout is not None
        assert followers.stdout.readline() == "ready\n"
        before, spent, began = resident_mb(), time.process_time(), time.perf_counter()
        taken: list[float] = []
        sender = threading.Thread(target=lambda: taken.append(send(square, count, hz)))
        sender.start()
        first = frames_a_second(square, count / hz / 2)
        half_way = resident_mb()
        second = frames_a_second(square, count / hz / 2 - 1)
        sender.join()
        waits_ms: list[float] = json.loads(followers.stdout.read())
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
        engine_fps_alone=round(alone, 2),
        engine_fps_under_load=round((first + second) / 2, 2),
        memory_mb_before=round(before, 1),
        memory_mb_half_way=round(half_way, 1),
        memory_mb_after=round(resident_mb(), 1),
        processor_share=round((time.process_time() - spent) / seconds, 2),
        load_average=round(load_average, 1),
    )


def main() -> None:
    """Measure, print and write."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--desks", type=int, default=50)
    given.add_argument("--hz", type=float, default=20.0)
    given.add_argument("--seconds", type=float, default=60.0)
    given.add_argument("--dry-run", action="store_true", help="write no results")
    given.add_argument("--follow", help=argparse.SUPPRESS)
    options = given.parse_args()
    if options.follow:
        print(json.dumps(asyncio.run(follow_all(*json.loads(options.follow)))))
        return
    machine = this_machine()
    print_machine(machine)
    media = Path(os.environ["PYLFR_MEDIA"])
    with (
        tempfile.TemporaryDirectory(prefix="pylfr-service-") as folder,
        running(Path(folder), footage(media, Path(folder))) as square,
    ):
        load = measure(square, options.desks, round(options.hz * options.seconds), options.hz)
    print(f"{load.desks} desks, {load.alerts_a_second} alerts a second for {load.seconds} s: "
          f"{load.received_events} of {load.expected_events} events, p50 {load.p50_ms} ms, p99 {load.p99_ms} ms, "
          f"at most {load.max_ms} ms; the engine analyses {load.engine_fps_alone} frames a second alone and "
          f"{load.engine_fps_under_load} under load; {load.processor_share} of a core in its process, memory "
          f"{load.memory_mb_before}, {load.memory_mb_half_way}, {load.memory_mb_after} MB; load average before "
          f"{load.load_average}")  # fmt: skip
    if not options.dry_run:
        print(f"written to {write_results('service_load', machine, load)}")


if __name__ == "__main__":
    main()
