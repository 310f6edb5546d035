"""The sealed watchlist as it comes to a node, part by part: it is used once it is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pylfr._internal.atomic_file import write_whole
from pylfr.cluster.messages import ListPlace

# So many bytes go with one answer: what is larger would hold up the lease.
PART_BYTES = 8 << 20


class IncomingList:
    """Parts of the newest list, sealed as it is."""

    def __init__(self) -> None:
        self._sha256 = ""
        self._content = bytearray()

    @property
    def place(self) -> ListPlace:
        """What has come so far."""
        return ListPlace(sha256=self._sha256, size=len(self._content))

    def take(self, newest: ListPlace, offset: int, part: bytes) -> bool:
        """Take a part in; whether the list is whole. One that does not continue what has come is ignored."""
        if newest.sha256 != self._sha256:
            self._sha256, self._content = newest.sha256, bytearray()
        if offset == len(self._content):
            self._content += part
        return len(self._content) == newest.size

    def write(self, path: Path) -> None:
        """Put the whole list in the place of the one before.

        Raises ``ValueError`` where it is not what was announced; then it is fetched again. And ``OSError``.
        """
        if hashlib.sha256(self._content).hexdigest() != self._sha256:
            self._content.clear()
            raise ValueError("the watchlist is not what the head announced: it is fetched again")
        write_whole(path, bytes(self._content))


def part_after(content: bytes, sha256: str, fetched: ListPlace) -> tuple[int, bytes]:
    """Where a node that has ``fetched`` so much goes on in the list, and the part from there."""
    offset = fetched.size if fetched.sha256 == sha256 else 0
    return offset, content[offset : offset + PART_BYTES]
