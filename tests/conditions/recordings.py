"""Small recordings as cameras, recorders and accidents leave them, made with PyAV on the spot."""

from __future__ import annotations

import multiprocessing
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from tests.video.clips import RATE_HZ, picture_of

Make = Callable[[Path], Path]

WIDTH, HEIGHT = 96, 64
FRAMES = 40

# The packets of the first stream, as FFmpeg numbers them.
PICTURES_PID = 0x100


def add_video(
    container: OutputContainer,
    codec: str = "libx264",
    *,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    rate_hz: int = RATE_HZ,
    pixels: str | None = None,
    coding: dict[str, str] | None = None,
) -> VideoStream:
    """A stream of 96x64 at 10 Hz with a key frame a second and, in H.264, frames that look ahead."""
    stream = container.add_stream(codec, rate=rate_hz, options={"g": "10", "bf": "2", **(coding or {})})
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = size
    stream.bit_rate = 400_000
    stream.pix_fmt = pixels or ("yuvj420p" if codec == "mjpeg" else "yuv420p")
    return stream


def packets(stream: VideoStream, frames: int = FRAMES) -> Iterator[Packet[VideoStream]]:
    """Noise over a clip's pictures: enough bytes that damage hits pictures, not headers."""
    noise = np.random.default_rng(1)
    for number in range(frames):
        rgb = picture_of(number, stream.width, stream.height)
        rgb = np.clip(rgb.astype(np.int16) + noise.integers(-40, 40, rgb.shape), 0, 255).astype(np.uint8)
        picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=stream.pix_fmt)
        picture.pts, picture.time_base = number, Fraction(1, RATE_HZ)
        yield from stream.encode(picture)
    yield from stream.encode()


def write(
    path: Path,
    *,
    codec: str = "libx264",
    frames: int = FRAMES,
    options: dict[str, str] | None = None,
    coding: dict[str, str] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    rate_hz: int = RATE_HZ,
    pixels: str | None = None,
    title: str | None = None,
    change: Callable[[Iterable[Packet[VideoStream]]], Iterable[Packet[VideoStream]]] | None = None,
    prepare: Callable[[VideoStream], None] | None = None,
) -> Path:
    """One video stream in the container of the file's suffix; ``change`` may alter its packets."""
    with av.open(str(path), "w", options=options or {}) as container:
        if title is not None:
            # A transport stream calls it the name of its service.
            container.metadata.update({"title": title, "service_name": title})
        stream = add_video(container, codec, size=size, rate_hz=rate_hz, pixels=pixels, coding=coding)
        if prepare is not None:
            prepare(stream)
        made = packets(stream, frames)
        for packet in made if change is None else change(made):
            container.mux(packet)
    return path


def plain(name: str, codec: str = "libx264", **given: object) -> Make:
    return lambda folder: write(folder / name, codec=codec, **given)  # type: ignore[arg-type]


def in_av1(name: str, options: dict[str, str]) -> Make:
    """Encoded in a process of its own: as root, SVT-AV1 leaves its caller at a real-time priority."""

    def make(folder: Path) -> Path:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
            path = pool.submit(write, folder / name, codec="libsvtav1", options=options).result(timeout=60)
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
        return path

    return make


def written(content: bytes) -> Make:
    """A file of another kind, named like a recording."""

    def make(folder: Path) -> Path:
        (folder / "a.mp4").write_bytes(content)
        return folder / "a.mp4"

    return make


def late(name: str, seconds: float) -> Make:
    """A segment of a longer recording, whose time stamps go on from the one before."""
    return plain(name, options={"output_ts_offset": str(seconds)})


def shifted(frames: int) -> Callable[[Iterable[Packet[VideoStream]]], Iterator[Packet[VideoStream]]]:
    def change(made: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        for packet in made:
            ticks = round(frames / RATE_HZ / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
            yield packet

    return change


def jumping(seconds: float) -> Callable[[Iterable[Packet[VideoStream]]], Iterator[Packet[VideoStream]]]:
    """From the second key frame on, time is later by so much."""

    def change(made: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        keys = 0
        for packet in made:
            keys += packet.is_keyframe
            if keys > 2:
                ticks = round(seconds / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts + ticks
                packet.dts = None if packet.dts is None else packet.dts + ticks
            yield packet

    return change


def pausing(
    *seconds: float, before_key_frames: bool
) -> Callable[[Iterable[Packet[VideoStream]]], Iterator[Packet[VideoStream]]]:
    """Time passes without frames: from a key frame on, as while nothing moves, or where a picture was like the last."""

    def change(made: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        packets_, later, left = list(made), 0.0, list(seconds)
        for number, packet in enumerate(packets_):
            if left and number % 10 == (0 if before_key_frames else 5) and number:
                later += left.pop(0)
            ticks = round(later / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
            yield packet

    return change


def negative(name: str) -> Make:
    return plain(name, options={"avoid_negative_ts": "disabled"}, change=shifted(-15))


def joined(name: str, *makes: Make) -> Make:
    """Files one after the other, byte for byte, as `cat` joins them."""

    def make(folder: Path) -> Path:
        content = b"".join(each(folder).read_bytes() for each in makes)
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def with_sound(name: str, seconds: float) -> Make:
    """A recording whose sound lasts longer than its picture."""

    def make(folder: Path) -> Path:
        path = folder / name
        with av.open(str(path), "w") as container:
            stream = add_video(container)
            sound = container.add_stream("aac", rate=8000)
            assert isinstance(sound, AudioStream)
            for packet in packets(stream):
                container.mux(packet)
            for number in range(int(seconds * 8000 / 1024)):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts, silence.time_base = 8000, 1024 * number, Fraction(1, 8000)
                container.mux(sound.encode(silence))
            container.mux(sound.encode())
        return path

    return make


def two_streams(name: str, *, default: int, cover: bool = False) -> Make:
    """Two video streams, the first of three frames, or one cover picture; ``default`` is marked."""

    def make(folder: Path) -> Path:
        path = folder / name
        with av.open(str(path), "w") as container:
            first = add_video(container, "mjpeg" if cover else "libx264", coding={"bf": "0"} if cover else {})
            first.width, first.height = WIDTH // 2, HEIGHT // 2
            second = add_video(container)
            for number, stream in enumerate((first, second)):
                stream.disposition = Disposition.default if number == default else Disposition(0)
            for packet in packets(first, 1 if cover else 3):
                container.mux(packet)
            for packet in packets(second):
                container.mux(packet)
        return path

    return make


def programmes(name: str, *frames: int) -> Make:
    """A transport stream of several programmes, as a head-end or a recorder of many channels sends them."""

    def make(folder: Path) -> Path:
        streams = []
        for number, count in enumerate(frames, start=1):
            path = write(
                folder / f"{number}.ts",
                frames=count,
                options={
                    "mpegts_service_id": str(number),
                    "mpegts_pmt_start_pid": str(0x100 * number),
                    "mpegts_start_pid": str(0x100 * number + 0x10),
                },
            )
            content = path.read_bytes()
            packets_ = [content[at : at + 188] for at in range(0, len(content), 188)]
            streams.append([each for each in packets_ if pid_of(each) > 0x1F])
        table = _programme_association({number: 0x100 * number for number in range(1, len(frames) + 1)})
        turns = [b"".join(turn) for turn in zip_longest(*streams, fillvalue=b"")]
        whole = b"".join(numbered(table, place) + b"".join(turns[30 * place : 30 * place + 30])
                         for place in range(-(-len(turns) // 30)))  # fmt: skip
        (folder / name).write_bytes(whole)
        return folder / name

    return make


def pid_of(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def _programme_association(maps: dict[int, int]) -> bytes:
    """One packet with the table that says where each programme's map is (ISO/IEC 13818-1, 2.4.4.3)."""
    entries = b"".join(struct.pack(">HH", number, 0xE000 | pid) for number, pid in maps.items())
    section = b"\0" + struct.pack(">HHBBB", 0xB000 | (5 + len(entries) + 4), 1, 0xC1, 0, 0) + entries
    check = 0xFFFFFFFF
    for byte in section:
        check ^= byte << 24
        for _ in range(8):
            check = (check << 1 ^ (0x04C11DB7 if check & 0x80000000 else 0)) & 0xFFFFFFFF
    packet = b"\x47\x40\x00\x10\x00" + section + check.to_bytes(4, "big")
    return packet + b"\xff" * (188 - len(packet))


def numbered(packet: bytes, place: int) -> bytes:
    return packet[:3] + bytes([packet[3] & 0xF0 | place & 0x0F]) + packet[4:]


def displayed(name: str, degrees: float, *, mirrored: bool = False) -> Make:
    return plain(name, prepare=lambda stream: stream.set_display_rotation(degrees, hflip=mirrored))


def anamorphic(name: str, aspect: Fraction) -> Make:
    def prepare(stream: VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    return plain(name, prepare=prepare)
