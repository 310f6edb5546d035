"""Whether any other picture is made from one, as its own header says: ITU-T H.264, 7.4.1, and ITU-T H.265, 7.4.2.2."""

from __future__ import annotations

from collections.abc import Iterator

from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

# Headers come first: only this much of a packet is searched for its picture.
_SEARCHED_BYTES = 4096
_START = b"\0\0\1"


class DroppablePictures:
    """Tells of one stream's packets which pictures no other needs; of what it cannot read it says that one does."""

    def __init__(self, context: VideoCodecContext) -> None:
        self._is_droppable = {"h264": _of_h264, "hevc": _of_h265}.get(context.name)
        self._length_bytes = _length_bytes(context.name, bytes(context.extradata or b""))

    def has(self, packet: Packet[VideoStream]) -> bool:
        """Whether it is a packet of one of them."""
        if packet.is_disposable:
            return True
        if self._is_droppable is None or not packet.size:
            return False
        content = bytes(memoryview(packet)[:_SEARCHED_BYTES])
        units = _lengths(content, self._length_bytes) if self._length_bytes else _starts(content)
        return next((found for at in units if (found := self._is_droppable(content[at])) is not None), False)


def _of_h264(header: int) -> bool | None:
    """From the first byte of a unit; None where it is none of a picture."""
    return header & 0x60 == 0 if 1 <= header & 0x1F <= 5 else None


def _of_h265(header: int) -> bool | None:
    kind = header >> 1 & 0x3F
    return kind < 16 and kind % 2 == 0 if kind < 32 else None


def _length_bytes(codec: str, extradata: bytes) -> int:
    """How many bytes say how long the next unit is; 0 where start codes divide them."""
    place = {"h264": 4, "hevc": 21}.get(codec, 0)
    return (extradata[place] & 3) + 1 if len(extradata) > place and extradata[:1] == b"\1" else 0


def _lengths(content: bytes, length_bytes: int) -> Iterator[int]:
    """Where units begin that are written with their lengths."""
    at = 0
    while at + length_bytes < len(content):
        yield at + length_bytes
        at += length_bytes + int.from_bytes(content[at : at + length_bytes], "big")


def _starts(content: bytes) -> Iterator[int]:
    """Where units begin behind start codes."""
    at = content.find(_START)
    while 0 <= at < len(content) - len(_START):
        yield at + len(_START)
        at = content.find(_START, at + len(_START))
