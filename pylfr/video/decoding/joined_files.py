"""Where files begin that were put one after the other into one, as ``cat`` does: MP4, AVI, FLV, Matroska and WebM.

FFmpeg reads the first of them and ends without a word. Opened each for itself, none is lost.
Layout: ISO/IEC 14496-12, 4.2 (boxes); RIFF; Adobe FLV 10.1, annex E; RFC 8794, 4 and 5 (EBML).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_CLUSTER = b"\x1f\x43\xb6\x75"
# Clusters, simple blocks and groups of blocks: what pictures are in.
_PICTURES = (_CLUSTER, b"\xa3", b"\xa0")
_WIDEST_NAME = 4
_DOCUMENTS = (b"matroska", b"webm")
_EBML_HEADER_BYTES = 64
# RFC 9559, 5.1: what a segment consists of; and what may lie anywhere (RFC 8794, 11.3).
_IN_SEGMENT = frozenset(bytes.fromhex(each) for each in (
    "114d9b74", "1549a966", "1654ae6b", "1f43b675", "1c53bb6b", "1941a469", "1043a770", "1254c367", "ec", "bf",
))  # fmt: skip
# What a cluster consists of: time, blocks, groups of them, and what old versions had.
_IN_CLUSTER = frozenset(bytes.fromhex(each) for each in ("e7", "a3", "a0", "ab", "a7", "af", "5854", "ec", "bf"))
_LEAST_RIGHT = 4
_CHUNK = 1 << 22


def starts_of_files(descriptor: int) -> list[int]:
    """The first byte of every file but the first, in order; none where it is one, or of another format."""
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, 12, 0)
    if head[4:8] == b"ftyp":
        return list(_boxes(descriptor, size))
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return list(_riffs(descriptor, size))
    if head[:4] == b"FLV\x01":
        return list(_flvs(descriptor, size))
    if head[:4] == _EBML:
        return list(_ebmls(descriptor, size))
    return []


def ends_in_a_block(descriptor: int, start: int, end: int) -> bool:
    """Whether a Matroska or WebM file ends in the middle of its pictures: those recorded live announce no length."""
    at = start
    while at < end:
        head = os.pread(descriptor, 12, at)
        width = _ebml_width(head)
        name, length = head[:width], _ebml_length(head[width:])
        if at == start and name != _EBML:
            return False
        if name == _SEGMENT or (name == _CLUSTER and length is None):
            # What is inside follows.
            at += width + _ebml_width(head[width:])
        elif length is None or width > _WIDEST_NAME:
            return False
        elif at + width + length > end:
            return name in _PICTURES
        else:
            at += width + length
    return False


def missing_of_avi(descriptor: int) -> int:
    """How many bytes an AVI file lacks at its end, by the length that it names."""
    size, at = os.fstat(descriptor).st_size, 0
    while at + 12 <= size:
        head = os.pread(descriptor, 12, at)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or head[8:] not in (b"AVI ", b"AVIX") or not length:
            return 0
        at += 8 + length
        if at > size:
            return at - size
        at += length % 2
    return 0


def torn_ebml(descriptor: int) -> list[int]:
    """Where an element of a Matroska or WebM file does not belong: bytes before it are missing or others."""
    size, at, end = os.fstat(descriptor).st_size, 0, 0
    allowed = frozenset((_EBML,))
    while at < size:
        head = os.pread(descriptor, 12, at)
        width = _ebml_width(head)
        name, length = head[:width], _ebml_length(head[width:])
        inside = at + width + _ebml_width(head[width:])
        behind = inside if length is None else at + width + length
        if at == end and name != _EBML:
            return []  # behind the last segment: nothing's, or zeros
        if name == _EBML:
            at, end, allowed = behind, 0, frozenset((_SEGMENT, b"\xec"))
        elif name not in allowed:
            return [at]
        elif name == _SEGMENT:
            at, end, allowed = inside, size if length is None else behind, _IN_SEGMENT
        elif name == _CLUSTER and length is None:
            at, allowed = inside, _IN_SEGMENT | _IN_CLUSTER
        else:
            at = behind
    return []


def gap_in_flv(descriptor: int) -> tuple[int, int] | None:
    """From where on an FLV file cannot be trusted: the first tag whose length differs from the number after it."""
    size, at, right = os.fstat(descriptor).st_size, 0, 0
    while at + 13 <= size:
        head = os.pread(descriptor, 11, at)
        if head[:4] == b"FLV\x01":
            at += int.from_bytes(head[5:9], "big") + 4
            continue
        if not at:
            return None
        length = 11 + int.from_bytes(head[1:4], "big")
        behind = os.pread(descriptor, 4, at + length)
        if len(behind) == 4 and int.from_bytes(behind, "big") != length:
            # Some recorders never write the right number.
            return (at, size) if right >= _LEAST_RIGHT else None
        right += 1
        at += length + 4
    return None


def _boxes(descriptor: int, size: int) -> Iterator[int]:
    """Every file of MP4's family begins with a box ``ftyp``, and no other of its boxes is one."""
    at = 0
    while at + 8 <= size:
        head = os.pread(descriptor, 16, at)
        length = int.from_bytes(head[:4], "big")
        if at and head[4:8] == b"ftyp":
            yield at
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if length < 8:
            return  # 0: to the end of the file; the others are no box
        at += length


def _riffs(descriptor: int, size: int) -> Iterator[int]:
    """An AVI of more than a gigabyte goes on in RIFFs of the form ``AVIX``: these are no files of their own."""
    at = 0
    while at + 12 <= size:
        head = os.pread(descriptor, 12, at)
        if head[:4] != b"RIFF":
            return
        if at and head[8:] == b"AVI ":
            yield at
        length = int.from_bytes(head[4:8], "little")
        if not length:
            return  # the recorder was stopped before it wrote it
        at += 8 + length + length % 2


def _flvs(descriptor: int, size: int) -> Iterator[int]:
    at = 0
    while at + 13 <= size:
        head = os.pread(descriptor, 11, at)
        if head[:4] == b"FLV\x01":
            if at:
                yield at
            at += int.from_bytes(head[5:9], "big") + 4
        elif head[0] & 0x1F in (8, 9, 18):
            at += 11 + int.from_bytes(head[1:4], "big") + 4
        else:
            return


def _ebmls(descriptor: int, size: int) -> Iterator[int]:
    """A segment that was recorded live does not say how long it is: then the next header is looked for."""
    at = 0
    while at + 12 <= size:
        head = os.pread(descriptor, 12, at)
        if head[:4] == _EBML and at:
            yield at
        length = _ebml_length(head[4:])
        if length is None or head[:4] not in (_EBML, _SEGMENT):
            found = _next_ebml(descriptor, at + 4, size)
            if found is None:
                return
            at = found
        else:
            at += 4 + length


def _ebml_width(content: bytes) -> int:
    """The bytes that a name or a length takes, as its first byte says; 9, which none may take, where it does not."""
    return 9 - content[0].bit_length() if content else 9


def _ebml_length(content: bytes) -> int | None:
    """The bytes of a length and of what it is the length of; None where it is not known."""
    if not content or not content[0]:
        return None
    width = _ebml_width(content)
    value = int.from_bytes(content[:width], "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else width + value


def _next_ebml(descriptor: int, at: int, size: int) -> int | None:
    while at < size:
        content = os.pread(descriptor, _CHUNK + _EBML_HEADER_BYTES, at)
        place = content.find(_EBML)
        while 0 <= place < _CHUNK:
            if any(name in content[place : place + _EBML_HEADER_BYTES] for name in _DOCUMENTS):
                return at + place
            place = content.find(_EBML, place + 1)
        at += _CHUNK
    return None
