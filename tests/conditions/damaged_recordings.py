"""What accidents make of a recording: cut off, overwritten, parts lost, parts twice."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from av.packet import Packet
from av.video.stream import VideoStream

from tests.conditions.recordings import FRAMES, PICTURES_PID, Make, numbered, pid_of, plain


def altered(make: Make, before: bytes, after: bytes) -> Make:
    def altering(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        assert before in content
        assert len(before) == len(after)
        path.write_bytes(content.replace(before, after))
        return path

    return altering


def cut(make: Make, share: float = 0.6) -> Make:
    def cutting(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        return path

    return cutting


def zeroed(make: Make, share: float = 0.05) -> Make:
    """Bytes in the middle overwritten, as by a bad sector."""

    def damaging(folder: Path) -> Path:
        path = make(folder)
        content = bytearray(path.read_bytes())
        start, length = len(content) // 2, int(share * len(content))
        content[start : start + length] = bytes(length)
        path.write_bytes(content)
        return path

    return damaging


def without_bytes(make: Make, share: float = 0.1) -> Make:
    """Bytes in the middle missing, as where a recorder lost a block."""

    def damaging(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        start, length = len(content) // 2, int(share * len(content))
        path.write_bytes(content[:start] + content[start + length :])
        return path

    return damaging


def without_packets(make: Make, share: float = 0.1) -> Make:
    """Packets in the middle of a transport stream missing, as where a receiver lost its signal.

    Packets of a stream are counted from 0 to 15: that sixteen of them are missing, or 32, nobody could see.
    """

    def damaging(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        every = [content[at : at + 188] for at in range(0, len(content), 188)]
        first = len(every) // 2
        last = first + int(share * len(every))
        while sum(pid_of(packet) == PICTURES_PID for packet in every[first:last]) % 16 == 0:
            last += 1
        path.write_bytes(b"".join(every[:first] + every[last:]))
        return path

    return damaging


def without_sixteen(make: Make, name: str = "a.ts", *, picture: int = FRAMES // 2 + 3, within: bool = False) -> Make:
    """Sixteen packets of pictures lost from the first of a picture on, or inside it: no counter of packets shows it."""

    def damaging(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        every = [content[at : at + 188] for at in range(0, len(content), 188)]
        pictures = [place for place, packet in enumerate(every) if pid_of(packet) == PICTURES_PID]
        begins = [place for place in pictures if every[place][1] & 0x40]
        first = pictures.index(begins[picture]) + within
        lost = pictures[first : first + 16]
        (folder / name).write_bytes(b"".join(each for place, each in enumerate(every) if place not in lost))
        return folder / name

    return damaging


def without_pictures(make: Make, *lost: int) -> Make:
    """Whole pictures of a transport stream lost, whose packets were a multiple of sixteen: the counter goes on."""

    def damaging(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        number, counter, kept = -1, 0, []
        for packet in (content[at : at + 188] for at in range(0, len(content), 188)):
            if pid_of(packet) != PICTURES_PID:
                kept.append(packet)
                continue
            number += bool(packet[1] & 0x40)
            if number not in lost:
                kept.append(numbered(packet, counter))
                counter += 1
        path.write_bytes(b"".join(kept))
        return path

    return damaging


def overlapping(make: Make) -> Make:
    """Two cuts of one transport stream, the second of which begins before the first ends, both inside a picture."""

    def cutting(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        every = [content[at : at + 188] for at in range(0, len(content), 188)]
        begins = [place for place, packet in enumerate(every) if pid_of(packet) == PICTURES_PID and packet[1] & 0x40]
        path.write_bytes(b"".join(every[: begins[27] + 2] + every[begins[14] + 2 :]))
        return path

    return cutting


def jpeg_without_end(name: str) -> Make:
    """JPEG pictures without the marker of their end, as some cameras write them."""

    def change(made: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        for packet in made:
            content = bytes(packet)
            assert content.endswith(b"\xff\xd9")
            shorter = Packet(content[:-2])
            shorter.stream, shorter.time_base = packet.stream, packet.time_base
            shorter.pts, shorter.dts, shorter.is_keyframe = packet.pts, packet.dts, True
            yield cast("Packet[VideoStream]", shorter)

    return plain(name, "mjpeg", coding={"bf": "0"}, change=change)


def followed_by(make: Make, content: bytes) -> Make:
    def following(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes() + content)
        return path

    return following


def trimmed(make: Make, seconds: float) -> Make:
    """An MP4 whose edit list leaves out its beginning, as a telephone trims a film."""

    def trimming(folder: Path) -> Path:
        path = make(folder)
        content = bytearray(path.read_bytes())
        place, clock = content.index(b"elst") + 12, content.index(b"mdhd") + 16
        duration, start = struct.unpack(">Ii", content[place : place + 8])
        (scale,) = struct.unpack(">I", content[clock : clock + 4])
        content[place : place + 8] = struct.pack(
            ">Ii", duration - round(1000 * seconds), start + round(scale * seconds)
        )
        path.write_bytes(content)
        return path

    return trimming


def fragments(make: Make, *kept: slice) -> Make:
    """The fragments of an MP4 of which these are kept, one after the other, behind one header."""

    def cutting(folder: Path) -> Path:
        path = make(folder)
        content = path.read_bytes()
        starts = [place - 4 for place in range(len(content)) if content[place : place + 4] == b"moof"]
        ends = [*starts[1:], content.rindex(b"mfra") - 4]
        every = [content[start:end] for start, end in zip(starts, ends, strict=True)]
        path.write_bytes(content[: starts[0]] + b"".join(b"".join(every[each]) for each in kept))
        return path

    return cutting


def in_blocks_of_192(make: Make) -> Make:
    """As Blu-ray discs and some recorders have it: four bytes of time before every packet."""

    def changing(folder: Path) -> Path:
        content = make(folder).read_bytes()
        path = folder / "a.m2ts"
        path.write_bytes(b"".join(struct.pack(">I", at) + content[at : at + 188] for at in range(0, len(content), 188)))
        return path

    return changing
