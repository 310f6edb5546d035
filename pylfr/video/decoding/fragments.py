"""Fragments of an MP4 file: where their clock starts again, as the recorder did, and where one is missing.

FFmpeg sorts all fragments by their times: those of a second run would be mixed with those of the first.
Layout: ISO/IEC 14496-12, 8.8.4 (moof), 8.8.5 (mfhd), 8.8.7 (tfhd), 8.8.12 (tfdt).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

# Boxes that precede a fragment and belong to it.
_BEFORE = (b"styp", b"sidx", b"prft", b"emsg")
_MOST_HEADER = 1 << 20
_CHUNK = 1 << 16


@dataclass(slots=True)
class Fragments:
    """``restarts``: where each further run begins, and the bytes of the header that opens it.

    ``gaps``: between which two bytes a fragment is missing; ``broken``: where no box is, though further fragments are.
    """

    restarts: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)


def fragments_of(descriptor: int) -> Fragments:
    """What the fragments of an open file say; nothing where it has none."""
    found, size = Fragments(), os.fstat(descriptor).st_size
    if os.pread(descriptor, 8, 0)[4:] != b"ftyp":
        return found
    at = opened = 0
    header: tuple[int, int] | None = None
    last: tuple[int, int, dict[int, int]] | None = None
    before: int | None = None
    while at + 8 <= size:
        length, kind = _head(descriptor, at)
        if length < 8 or not kind.isalnum():
            if last is not None and any(os.pread(descriptor, _CHUNK, at).strip(b"\0")):
                found.broken.append(at)
            break
        if kind == b"ftyp":
            opened, header, last = at, None, None
        elif kind == b"moof":
            start = at if before is None else before
            header = header or (opened, start)
            number, clocks = _fragment(os.pread(descriptor, min(length, _MOST_HEADER), at))
            if last is not None:
                _, last_number, last_clocks = last
                if any(clock < last_clocks.get(track, clock) for track, clock in clocks.items()):
                    found.restarts.append((start, header))
                elif number > last_number + 1:
                    found.gaps.append((last[0], at))
            last = at, number, clocks
        before = (at if before is None else before) if kind in _BEFORE else None
        at += length
    return found


def _head(descriptor: int, at: int) -> tuple[int, bytes]:
    head = os.pread(descriptor, 16, at)
    length = int.from_bytes(head[:4], "big")
    return int.from_bytes(head[8:], "big") if length == 1 and len(head) == 16 else length, head[4:8]


def _fragment(content: bytes) -> tuple[int, dict[int, int]]:
    """The number of a fragment, and the clock at which each of its tracks goes on."""
    number, clocks = 0, {}
    for kind, box in _boxes(content[8:]):
        if kind == b"mfhd":
            number = int.from_bytes(box[4:8], "big")
        elif kind == b"traf":
            parts = dict(_boxes(box))
            clock = parts.get(b"tfdt", b"")
            if len(clock) >= 8:
                track = int.from_bytes(parts.get(b"tfhd", b"")[4:8], "big")
                clocks[track] = int.from_bytes(clock[4:12] if clock[0] == 1 else clock[4:8], "big")
    return number, clocks


def _boxes(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if length < 8:
            break
        found.append((content[at + 4 : at + 8], content[at + 8 : at + length]))
        at += length
    return found
