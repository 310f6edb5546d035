"""Whether other pictures refer to a picture, by its own header: ITU-T H.264, 7.4.1, and ITU-T H.265, 7.4.2.2."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from pylfr.video.decoding.nal_units import length_bytes_of, units_behind_lengths

# Headers come first: a packet is searched no further for its picture.
_SEARCHED_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Codec:
    """``picture`` finds the first unit of a picture behind its start code, the first byte of its header in a group."""

    picture: re.Pattern[bytes]
    is_droppable: Callable[[int], bool]


# Types 1 to 5 are of pictures, which nobody refers to where nal_ref_idc is 0; types up to 31 are, the even ones up to
# 14 of pictures that nobody refers to.
_CODECS = {
    "h264": _Codec(
        picture=re.compile(rb"\x00\x00\x01([\x01-\x05\x21-\x25\x41-\x45\x61-\x65])", re.DOTALL),
        is_droppable=lambda header: header & 0x60 == 0,
    ),
    "hevc": _Codec(
        picture=re.compile(rb"\x00\x00\x01([\x00-\x3f])", re.DOTALL),
        is_droppable=lambda header: header >> 1 < 16 and header >> 1 & 1 == 0,
    ),
}


class DroppablePictures:
    """Tells which packets of a stream hold pictures that no other refers to; never of a packet that it cannot read."""

    def __init__(self, context: VideoCodecContext) -> None:
        self._codec = _CODECS.get(context.name)
        self._length_bytes = length_bytes_of(context.name, context.extradata)

    def has(self, packet: Packet[VideoStream]) -> bool:
        """Whether ``packet`` holds such a picture."""
        if packet.is_disposable:
            return True
        if self._codec is None or not packet.size:
            return False
        content: bytes | memoryview = memoryview(packet)
        if self._length_bytes:
            content = _behind_codes(bytes(content[:_SEARCHED_BYTES]), self._length_bytes)
        found = self._codec.picture.search(content, 0, _SEARCHED_BYTES)
        return found is not None and self._codec.is_droppable(found[1][0])


def _behind_codes(content: bytes, length_bytes: int) -> bytes:
    """The headers of units that are behind their lengths, as if they were behind start codes."""
    return b"".join(b"\0\0\1" + content[at : at + 1] for at, _ in units_behind_lengths(content, length_bytes))
