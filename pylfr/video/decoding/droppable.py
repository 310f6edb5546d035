"""Whether other pictures refer to a picture, by its own header: ITU-T H.264, 7.4.1, and ITU-T H.265, 7.4.2.2."""

from __future__ import annotations

from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from pylfr.video.decoding.nal_units import length_bytes_of, starts_behind_codes, units_behind_lengths

# Headers come first: a packet is searched no further for its picture.
_SEARCHED_BYTES = 4096


class DroppablePictures:
    """Tells which packets of a stream hold pictures that no other refers to; never of a packet that it cannot read."""

    def __init__(self, context: VideoCodecContext) -> None:
        self._is_droppable = {"h264": _of_h264, "hevc": _of_h265}.get(context.name)
        self._length_bytes = length_bytes_of(context.name, context.extradata)

    def has(self, packet: Packet[VideoStream]) -> bool:
        """Whether ``packet`` holds such a picture."""
        if packet.is_disposable:
            return True
        if self._is_droppable is None or not packet.size:
            return False
        content = bytes(memoryview(packet)[:_SEARCHED_BYTES])
        starts = (
            (start for start, _ in units_behind_lengths(content, self._length_bytes))
            if self._length_bytes
            else starts_behind_codes(content)
        )
        return next((found for at in starts if (found := self._is_droppable(content[at])) is not None), False)


def _of_h264(header: int) -> bool | None:
    """From the first byte of a unit; None where the unit is not of a picture."""
    return header & 0x60 == 0 if 1 <= header & 0x1F <= 5 else None


def _of_h265(header: int) -> bool | None:
    kind = header >> 1 & 0x3F
    return kind < 16 and kind % 2 == 0 if kind < 32 else None
