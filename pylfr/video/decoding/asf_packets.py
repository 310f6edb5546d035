"""Whether the packets of an ASF file are intact: FFmpeg skips a damaged one silently.

Layout: Advanced Systems Format 01.20.06, 3.2 (file properties), 5.1 (data object), 5.2 (data packets).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_MOST_HEADER = 1 << 22
_DATA_HEAD_BYTES = 50
# A packet begins with three bytes of error correction data, which is unused: a count, then two zeros.
_CORRECTION = b"\x82\x00\x00"
_WIDTHS = (0, 1, 2, 4)


@dataclass(slots=True)
class _Objects:
    """Follows the media objects (pictures, sound) of one stream: how much of the last one has come."""

    number: int | None = None
    size: int = 0
    got: int = 0


@dataclass(slots=True)
class _Findings:
    broken: list[int] = field(default_factory=list)
    incomplete: int = 0
    streams: dict[int, _Objects] = field(default_factory=dict)


def damage_of_asf(descriptor: int) -> str | None:
    """What is wrong with its packets, in words; None where nothing is, or it is no ASF file."""
    found = _opened(descriptor)
    if found is None:
        return None
    first, end, length, announced = found
    findings = _Findings()
    at = count = 0
    for at, packet in _packets(descriptor, first, end, length):
        count += 1
        try:
            if packet[:3] != _CORRECTION:
                raise ValueError
            for stream, number, size, offset, got in _payloads(packet):
                _follow(findings, stream, number, size, offset, got)
        except (ValueError, IndexError, struct.error):
            findings.broken.append(at)
    words = []
    if findings.broken:
        words.append(
            f"{len(findings.broken)} packets of the file are damaged, the first at byte {findings.broken[0]:,}"
        )
    if findings.incomplete:
        words.append(f"bytes of {findings.incomplete} pictures or sounds are missing")
    if announced > count:
        words.append(f"{announced - count} of {announced} packets of the file are missing")
    return "; ".join(words) or None


def _opened(descriptor: int) -> tuple[int, int, int, int] | None:
    """Where the packets begin and end, the bytes of each, and how many are announced (0 where recorded live)."""
    head = os.pread(descriptor, 30, 0)
    if head[:16] != _HEADER or len(head) < 30:
        return None
    (header_bytes,) = struct.unpack_from("<Q", head, 16)
    content = os.pread(descriptor, min(header_bytes, _MOST_HEADER), 0)
    place = content.find(_FILE_PROPERTIES)
    if place < 0 or place + 104 > len(content):
        return None
    packets, flags, least, most = (
        struct.unpack_from("<Q", content, place + 56)[0],
        *struct.unpack_from("<III", content, place + 88),
    )
    data = os.pread(descriptor, _DATA_HEAD_BYTES, header_bytes)
    if least != most or least < 64 or data[:16] != _DATA:
        return None
    (data_bytes,) = struct.unpack_from("<Q", data, 16)
    size, first = os.fstat(descriptor).st_size, header_bytes + _DATA_HEAD_BYTES
    is_live = bool(flags & 1) or data_bytes <= _DATA_HEAD_BYTES
    end = size if is_live else min(size, header_bytes + data_bytes)
    return first, end, least, 0 if is_live else packets


def _packets(descriptor: int, first: int, end: int, length: int) -> Iterator[tuple[int, bytes]]:
    """Every packet and its place in the file; resynchronises after damage that shifts them."""
    at = first
    while at + length <= end:
        packet = os.pread(descriptor, length, at)
        yield at, packet
        at += length
        if packet[:3] != _CORRECTION and os.pread(descriptor, 3, at) != _CORRECTION:
            found = os.pread(descriptor, 2 * length, at).find(_CORRECTION)
            at += found if found > 0 else 0


def _payloads(packet: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Of each payload: its stream, the number and size of its object, where in it it goes, and its bytes."""
    at = 3
    lengths, properties = packet[at], packet[at + 1]
    at += 2

    def field_of(width_code: int) -> int:
        nonlocal at
        width = _WIDTHS[width_code & 3]
        if at + width > len(packet):
            raise ValueError
        value = int.from_bytes(packet[at : at + width], "little")
        at += width
        return value

    total = field_of(lengths >> 5) or len(packet)
    field_of(lengths >> 1)
    padding = field_of(lengths >> 3)
    at += 6
    end = min(total, len(packet)) - padding
    has_many, count, length_code = lengths & 1, 1, 0
    if has_many:
        count, length_code = packet[at] & 0x3F, packet[at] >> 6
        at += 1
    if end < at or not count:
        raise ValueError
    for _ in range(count):
        stream = packet[at] & 0x7F
        at += 1
        number, offset, replicated = field_of(properties >> 4), field_of(properties >> 2), field_of(properties)
        size = int.from_bytes(packet[at : at + 4], "little") if replicated >= 8 else 0
        at += replicated
        length = field_of(length_code) if has_many else end - at
        if length < 0 or at + length > end:
            raise ValueError
        at += length
        if replicated >= 8:
            yield stream, number, size, offset, length


def _follow(findings: _Findings, stream: int, number: int, size: int, offset: int, got: int) -> None:
    """Count objects that end before they are whole."""
    if offset + got > size:
        raise ValueError
    objects = findings.streams.setdefault(stream, _Objects())
    if objects.number != number:
        findings.incomplete += objects.number is not None and objects.got < objects.size
        objects.number, objects.size, objects.got = number, size, 0
        # The first one of a part of a broadcast may lack its beginning.
    objects.got += got
