"""What has just been recorded, to every connected page: the audit log followed, nothing lost over a reconnect."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pylfr._internal.canonical_json import Plain

# How often the log is checked for new entries.
_LOOK_S = 0.05
# A connection that has nothing to say says so: a page cannot tell silence from a broken link.
_HEARTBEAT_S = 5.0
# Events in memory; whoever missed more is told to load everything anew.
MOST_EVENTS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """An entry of the log as a page may see it. ``id`` is the entry's number."""

    id: int
    kind: str
    data: dict[str, Plain]

    def sse(self) -> bytes:
        """The event on the wire."""
        return f"id: {self.id}\nevent: {self.kind}\ndata: {json.dumps(self.data, ensure_ascii=False)}\n\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Events, oldest first; not ``is_complete`` where an entry is being written just now and the rest comes soon."""

    events: list[FeedEvent]
    is_complete: bool = True


RELOAD = b"event: reload\ndata: {}\n\n"


class Feed:
    """Follows a log file. ``read`` gives the events after a number, oldest first; it runs on a thread.

    Of more than ``MOST_EVENTS`` only the last need be there, and one before. ``on_erased`` is called on the loop.
    """

    def __init__(
        self, path: Path, read: Callable[[int], Told], *, on_erased: Callable[[], None] = lambda: None
    ) -> None:
        self._path = path
        self._read = read
        self._on_erased = on_erased
        self._recent: list[tuple[int, bytes]] = []
        self._last = 0
        self._first = 1
        self._changed = asyncio.Condition()
        self._closed = False

    async def follow_log(self) -> None:
        """Take in new entries until cancelled."""
        seen = -1
        while True:
            size = self._size()
            if size != seen:
                seen = size if await self._take_in() else -1
            await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """End every stream."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def stream(self, after: int | None, *, is_open: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Events after the number ``after``, or from now on, while ``is_open``; that there are none is said too."""
        last = self._last if after is None else after
        if last < self._first - 1 or last > self._last:
            # Older than what is in memory, or of another log.
            yield RELOAD
            last = self._last
        while is_open() and not self._closed:
            fresh = self._recent[bisect_right(self._recent, last, key=lambda each: each[0]) :]
            if fresh:
                last = fresh[-1][0]
                yield b"".join(event for _, event in fresh)
                continue
            yield f"id: {last}\nevent: waiting\ndata: {{}}\n\n".encode()
            await self._wait_for_more(last)

    async def _wait_for_more(self, last: int) -> None:
        """Until there is an event after ``last``, or a heartbeat is due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEARTBEAT_S), self._changed:
                await self._changed.wait_for(lambda: self._closed or self._last > last)

    async def _take_in(self) -> bool:
        """Take in new entries; whether those are all."""
        told = await asyncio.to_thread(self._read, self._last)
        if not told.events:
            return told.is_complete
        async with self._changed:
            for event in told.events:
                if event.kind == "erased":
                    # What was erased must not come back from here: whoever was away loads everything anew.
                    self._recent.clear()
                    self._first = event.id
                    self._on_erased()
                self._recent.append((event.id, event.sse()))
            if len(self._recent) > MOST_EVENTS:
                self._first = self._recent[-MOST_EVENTS - 1][0] + 1
                del self._recent[:-MOST_EVENTS]
            self._last = told.events[-1].id
            self._changed.notify_all()
        return told.is_complete

    def _size(self) -> int:
        with suppress(OSError):
            return self._path.stat().st_size
        return -1
