from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pylfr.service.feed import RELOAD, Feed, FeedEvent, Told

PATIENCE_S = 10.0


class Log:
    """A log file whose entries are numbered lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        path.touch()

    def add(self, count: int = 1) -> None:
        with self.path.open("a") as file:
            for _ in range(count):
                self.count += 1
                file.write(f"{self.count}\n")

    def read(self, after: int) -> Told:
        numbers = map(int, self.path.read_text().split())
        return Told(events=[FeedEvent(id=each, kind="alert", data={"n": each}) for each in numbers if each > after])


@asynccontextmanager
async def following(log: Log) -> AsyncIterator[Feed]:
    feed = Feed(log.path, log.read)
    task = asyncio.create_task(feed.follow_log())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while feed._last < log.count:
                await asyncio.sleep(0.01)
        yield feed
    finally:
        await feed.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def numbers(stream: AsyncIterator[bytes], count: int) -> list[int]:
    found: list[int] = []
    async with asyncio.timeout(PATIENCE_S):
        async for part in stream:
            events = [each.splitlines() for each in part.split(b"\n\n") if b"event: alert" in each]
            found += [int(lines[0].removeprefix(b"id: ")) for lines in events]
            if len(found) >= count:
                break
    return found


def test_an_entry_reaches_every_reader_once_and_in_order(tmp_path: Path) -> None:
    async def run() -> None:
        log = Log(tmp_path / "log")
        log.add(2)
        async with following(log) as feed:
            readers = [asyncio.create_task(numbers(feed.stream(2, is_open=lambda: True), 3)) for _ in range(5)]
            for _ in range(3):
                log.add()
                await asyncio.sleep(0.02)
            assert await asyncio.gather(*readers) == [[3, 4, 5]] * 5

    asyncio.run(run())


def test_who_comes_back_gets_what_was_missed(tmp_path: Path) -> None:
    async def run() -> None:
        log = Log(tmp_path / "log")
        log.add(10)
        async with following(log) as feed:
            assert await numbers(feed.stream(4, is_open=lambda: True), 6) == [5, 6, 7, 8, 9, 10]

    asyncio.run(run())


def test_who_missed_more_than_is_in_memory_is_told_to_load_anew(tmp_path: Path) -> None:
    async def run() -> None:
        log = Log(tmp_path / "log")
        log.add(6_000)
        async with following(log) as feed:
            for after in (3, 9_999):
                stream = feed.stream(after, is_open=lambda: True)
                assert await anext(stream) == RELOAD
            assert await numbers(feed.stream(5_990, is_open=lambda: True), 10) == list(range(5_991, 6_001))

    asyncio.run(run())


def test_a_stream_ends_with_its_session_and_with_the_service(tmp_path: Path) -> None:
    async def run() -> None:
        log = Log(tmp_path / "log")
        log.add()
        async with following(log) as feed:
            ended = [part async for part in feed.stream(0, is_open=lambda: False)]
            assert ended == []
            waiting = asyncio.create_task(numbers(feed.stream(1, is_open=lambda: True), 1))
            await asyncio.sleep(0.05)
        async with asyncio.timeout(PATIENCE_S):
            assert await waiting == []

    asyncio.run(run())
