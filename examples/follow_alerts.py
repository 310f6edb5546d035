"""A larger system follows the alerts of a service with a token: ``python -m examples.follow_alerts ORIGIN TOKEN``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pylfr.service.client import Client


def follow(client: Client, *, after: int | None = None) -> Iterator[str]:
    """A line for each alert, as it is recorded, from the event ``after`` on; none is lost over a broken connection."""
    for event in client.events(after=after):
        if event.kind == "alert":
            yield f"{event.data['camera']} {event.data['captured_at']} {event.data['state']}"


if __name__ == "__main__":
    origin, token = sys.argv[1:]
    for line in follow(Client(origin, token=token)):
        print(line, flush=True)
