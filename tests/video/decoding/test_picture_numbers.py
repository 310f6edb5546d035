"""A picture that is lost is missed by its number; nothing is missed of a stream that is whole."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from pylfr.video.decoding.picture_numbers import PictureNumbers
from tests.conditions.recordings import write

QUIET = {"x265-params": "log-level=none:scenecut=0"}
STREAMS = {
    "H.264 with pictures that look ahead": ("a.ts", "libx264", {"sc_threshold": "0"}),
    "H.264 without": ("a.ts", "libx264", {"bf": "0", "sc_threshold": "0"}),
    "H.264 as a profile for telephones": ("a.ts", "libx264", {"bf": "0", "profile": "baseline", "sc_threshold": "0"}),
    "H.264, key frames alone": ("a.ts", "libx264", {"bf": "0", "g": "1"}),
    "H.265": ("a.ts", "libx265", QUIET),
    "MPEG-2": ("a.ts", "mpeg2video", {"sc_threshold": "1000000000"}),
}


def packets_of(path: Path) -> tuple[str, list[bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.name, [bytes(packet) for packet in container.demux(stream) if packet.size]


def missing(codec: str, packets: list[bytes]) -> int:
    numbers = PictureNumbers(codec)
    return sum(numbers.take(memoryview(packet)) for packet in packets) + numbers.end()


@pytest.mark.parametrize(("name", "codec", "coding"), STREAMS.values(), ids=list(STREAMS))
def test_a_picture_that_is_lost_is_missed(tmp_path: Path, name: str, codec: str, coding: dict[str, str]) -> None:
    decoder, packets = packets_of(write(tmp_path / name, codec=codec, coding=coding, frames=30))
    assert missing(decoder, packets) == 0
    # Inside a run: of its last pictures nobody can say how many there were.
    for lost in (13, 14, 15):
        assert missing(decoder, packets[:lost] + packets[lost + 1 :]) == 1
    # Key frames alone have numbers that alternate: an odd number of lost ones shows as one.
    assert missing(decoder, packets[:13] + packets[16:]) == (1 if coding.get("g") == "1" else 3)


def test_headers_that_are_none_and_other_codecs_say_nothing() -> None:
    for codec in ("h264", "hevc", "mpeg2video", "vp9"):
        numbers = PictureNumbers(codec)
        for content in (b"", b"\0\0\1", b"\0\0\1\x67" + bytes(3000), b"\0\0\1\x42\1" + b"\xff" * 40, bytes(range(256))):
            assert numbers.take(memoryview(content)) == 0
        assert numbers.end() == 0
