"""What the bytes of a recording say before it is opened: its parts, what is missing between them, and how it ends."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pylfr.types import Int64
from pylfr.video.decoding.asf_packets import damage_of_asf
from pylfr.video.decoding.fragments import fragments_of
from pylfr.video.decoding.ivf_frames import damage_of_ivf
from pylfr.video.decoding.joined_files import ends_in_a_block, gap_in_flv, missing_of_avi, starts_of_files, torn_ebml
from pylfr.video.decoding.transport_stream import end_of_packets, ends_in_a_packet, scan_transport_stream

Ranges = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One recording in a file, from its first byte to its ``end``; ``header``: bytes elsewhere that open it.

    ``gaps``: between which two of its own bytes something of which stream is missing (-1: of any), int64 [N, 3].
    """

    start: int
    end: int
    header: tuple[int, int] | None
    gaps: Int64

    @property
    def ranges(self) -> Ranges:
        """The bytes that make a file of it."""
        return [*([self.header] if self.header is not None else []), (self.start, self.end)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """``parts`` in order, one where the file is one recording. ``is_whole``: the first of them is the whole file.

    ``damage``: what the search for them found wrong with the container, in words; ``damage_of_packets`` says the rest.
    """

    parts: Sequence[Part]
    is_whole: bool
    damage: Sequence[str]


def layout_of(descriptor: int) -> Layout:
    """The layout of an open file."""
    size = os.fstat(descriptor).st_size
    transport = scan_transport_stream(descriptor)
    fragments = fragments_of(descriptor)
    headers = dict(fragments.restarts)
    places = sorted({0, *transport.starts, *starts_of_files(descriptor), *headers})
    end = end_of_packets(descriptor, size)
    in_flv = gap_in_flv(descriptor)
    others = [(*gap, -1) for gap in (*fragments.gaps, *([in_flv] if in_flv is not None else []))]
    gaps = np.concatenate([transport.gaps, np.array(others, np.int64).reshape(-1, 3)])
    parts = []
    for start, stop in zip(places, [*places[1:], end], strict=True):
        header = headers.get(start)
        moved = start - (header[1] - header[0] if header is not None else 0)
        own = gaps[(gaps[:, 0] >= start) & (gaps[:, 0] < stop)] - [moved, moved, 0]
        parts.append(Part(start=start, end=stop, header=header, gaps=own))
    damage = (
        _places("packets lose their step", transport.out_of_step),
        _places("pictures lack bytes that they announce", transport.short),
        _places("its boxes do not follow one another", fragments.broken),
        _places("its tags do not follow one another", [in_flv[0]] if in_flv is not None else []),
        _places("its elements do not follow one another", torn_ebml(descriptor)),
        _ends_early(descriptor, parts[-1]),
    )
    return Layout(
        parts=parts,
        is_whole=len(parts) == 1 and end == size,
        damage=[words for words in damage if words is not None],
    )


def damage_of_packets(descriptor: int) -> list[str]:
    """What is wrong with the packets of an open file, in words, where FFmpeg is silent about it.

    It may read the whole file, as opening a recording must not.
    """
    return [words for words in (damage_of_asf(descriptor), damage_of_ivf(descriptor)) if words is not None]


def _places(what: str, places: Sequence[int]) -> str | None:
    if not places:
        return None
    return f"{what} at {len(places)} places, the first at byte {places[0]:,}"


def _ends_early(descriptor: int, last: Part) -> str | None:
    missing = missing_of_avi(descriptor)
    if missing:
        return f"it is cut off {missing:,} bytes before its end"
    if ends_in_a_packet(descriptor, last.end):
        return "it ends in the middle of a packet"
    return "it ends in the middle of a picture" if ends_in_a_block(descriptor, last.start, last.end) else None


class FileSlice(io.RawIOBase):
    """Some ranges of the bytes of an open file, one behind the other, as a file of its own that only reads."""

    def __init__(self, descriptor: int, ranges: Ranges) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._ranges = ranges
        self._size = sum(end - start for start, end in ranges)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._at if size < 0 else size
        before = 0
        for start, end in self._ranges:
            inside = self._at - before
            before += end - start
            if 0 <= inside < end - start:
                content = os.pread(self._descriptor, min(left, end - start - inside), start + inside)
                self._at += len(content)
                return content
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = min(max(0, base + offset), self._size)
        return self._at

    def tell(self) -> int:
        return self._at
