"""The units of an H.264 or H.265 packet behind their lengths (ISO/IEC 14496-15)."""

from __future__ import annotations

from collections.abc import Iterator


def length_bytes_of(codec: str, extradata: bytes | None) -> int:
    """How many bytes give the length of each unit; 0 where start codes separate them."""
    place = {"h264": 4, "hevc": 21}.get(codec)
    if place is None or extradata is None or len(extradata) <= place or extradata[0] != 1:
        return 0
    return (extradata[place] & 3) + 1


def units_behind_lengths(content: bytes, length_bytes: int) -> Iterator[tuple[int, int]]:
    """Where each unit begins and ends; the end of the last may lie beyond ``content``."""
    at = 0
    while at + length_bytes < len(content):
        start = at + length_bytes
        at = start + int.from_bytes(content[at:start], "big")
        yield start, at
