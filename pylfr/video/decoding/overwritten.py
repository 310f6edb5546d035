"""Bytes that no encoder writes: runs of zeros, left by a bad sector or a hole in a download, and torn JPEG pictures.

H.264 (Annex B, 7.4.1), H.265 and MPEG video never have three zeros inside a picture, as those begin a start code;
before one and at the end, zeros are padding. JPEG: ITU-T T.81, annex B.
"""

from __future__ import annotations

from itertools import pairwise

from pylfr.video.decoding.nal_units import units_behind_lengths

_START = b"\1"
_STUFFED = frozenset(("h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video"))
_ZEROS = bytes(16)
# Arithmetic coders write zeros where they predict well, but hardly this many.
_MANY_ZEROS = bytes(64)
_JPEG_ZEROS = bytes(48)
_ARITHMETIC = frozenset(("vp8", "vp9", "libvpx", "libvpx-vp9", "theora"))

_SOI, _EOI, _SOS, _DHT, _PROGRESSIVE = 0xD8, 0xD9, 0xDA, 0xC4, 0xC2
# What begins a picture: SOF0 to SOF15, without the three markers of that range that mean something else.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_RESTARTS = range(0xD0, 0xD8)
_ALONE = frozenset((0x01, *_RESTARTS))


def is_overwritten(codec: str, content: bytes, *, length_bytes: int = 0) -> bool:
    """Whether an encoded picture has a run of zeros that its encoder cannot have written.

    ``length_bytes`` as from ``length_bytes_of``.
    """
    if codec in _ARITHMETIC:
        return _MANY_ZEROS in content.rstrip(b"\0")
    if codec not in _STUFFED or _ZEROS not in content:
        return False
    if length_bytes:
        # Some encoders pad the end of each unit.
        units = (content[start:end] for start, end in units_behind_lengths(content, length_bytes))
        return any(_ZEROS in unit.rstrip(b"\0") for unit in units)
    place = content.find(_ZEROS)
    while place >= 0:
        rest = content[place:].lstrip(b"\0")
        if rest and not rest.startswith(_START):
            return True
        place = content.find(_ZEROS, len(content) - len(rest)) if rest else -1
    return False


def torn_jpeg(content: bytes) -> str | None:
    """What is wrong with the markers or the data of a JPEG picture, in words; None where nothing is."""
    if content[:2] != b"\xff\xd8":
        return None
    at, scans, flat = 2, 0, False
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            return "its segments do not follow one another"
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == _EOI:
            return None if scans else "it ends before its picture"
        elif scans and (marker == _SOI or marker in _FRAMES):
            return "another picture begins inside it"
        elif marker in _ALONE or marker == _SOI:
            at += 2
        else:
            segment = content[at + 4 : at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")]
            at += 4 + len(segment)
            if marker == _DHT:
                flat |= _has_flat_table(segment)
            elif marker == _PROGRESSIVE:
                flat = True
            elif marker == _SOS:
                scans += 1
                end, restarts = _scan(content, at)
                if any(after != (before + 1) % 8 for before, after in pairwise(restarts)):
                    return "its restart markers are out of order"
                if not flat and _JPEG_ZEROS in content[at:end]:
                    return "zeros lie in it"
                at = end
    # Some cameras leave the last marker out; nothing follows it.
    return None if scans and content[at : at + 2] in (b"", b"\xff", b"\xff\xd9") else "it ends too early"


def _has_flat_table(segment: bytes) -> bool:
    """Whether some table codes a flat area as zeros: its all-zero code means the end of a block.

    With any other meaning, zeros would give each of a block's 63 coefficients a value, which no picture has.
    """
    at = 0
    while at + 17 <= len(segment):
        kind, count = segment[at] >> 4, sum(segment[at + 1 : at + 17])
        if kind == 1 and segment[at] & 0x0F == 0 and segment[at + 17 : at + 18] == b"\0":
            return True
        at += 17 + count
    return False


def _scan(content: bytes, at: int) -> tuple[int, list[int]]:
    """Where the coded data of a scan ends, and the numbers of its restart markers."""
    restarts: list[int] = []
    while True:
        at = content.find(b"\xff", at)
        if at < 0 or at + 1 >= len(content):
            return len(content), restarts
        marker = content[at + 1]
        if marker in _RESTARTS:
            restarts.append(marker - 0xD0)
        elif marker not in (0, 0xFF):
            return at, restarts
        at += 1 if marker == 0xFF else 2
