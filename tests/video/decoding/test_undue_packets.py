"""Packets before a picture is wanted are decoded by the core: none is lost, and later pictures are as they would be."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Iterator
from typing import cast

import av
import numpy as np
import pytest
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pylfr.ops import DueTime, UndueReader
from pylfr.video.decoding import undue_packets
from pylfr.video.decoding.undue_packets import PacketReader
from tests.video.decoding.packet_reading import FRAMES, NEVER, clip, due_at, needs_known_pyav, opened, reader_of


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What is found out once is found out anew after a test that pretends otherwise."""
    yield
    undue_packets._calls.cache_clear()


def all_of(reader: PacketReader) -> list[tuple[int | None, int]]:
    """Stamps and sizes of what is left to be read, and may be passed."""
    return [(packet.dts, packet.size) for packet in iter(lambda: reader.read(may_pass=True), None)]


def decoded(stream: VideoStream, packet: Packet[Stream]) -> list[VideoFrame]:
    return stream.decode(cast("Packet[VideoStream]", packet) if packet.size else None)


def packets_of(content: bytes) -> list[tuple[int | None, int]]:
    container, _ = opened(content)
    with container:
        return [(packet.dts, packet.size) for packet in container.demux()]


@needs_known_pyav
@pytest.mark.parametrize("bframes", [0, 2])
def test_every_picture_that_nobody_wants_is_decoded_and_counted(bframes: int) -> None:
    container, stream = opened(clip(bframes))
    with container:
        reader = reader_of(container, stream, due_at(NEVER))
        # PyAV reads the first one, with which its deadline begins, and has what is left at the end.
        pictures = 0
        while (packet := reader.read(may_pass=True)) is not None:
            pictures += len(decoded(stream, packet))
        passed = reader.take_passed()
        assert pictures + passed == FRAMES
        assert passed >= FRAMES - 1 - (bframes + 1)
        assert reader.take_passed() == 0


@pytest.mark.parametrize("due", [None, due_at(0.0)])
def test_while_pictures_are_wanted_every_packet_is_given(due: DueTime | None) -> None:
    content = clip()
    container, stream = opened(content)
    with container:
        reader = reader_of(container, stream, due)
        assert all_of(reader) == packets_of(content)
        assert reader.take_passed() == 0


@needs_known_pyav
def test_pictures_after_those_that_were_passed_are_what_they_would_be() -> None:
    content = clip()
    plain, _ = opened(content)
    with plain:
        whole = {picture.pts: picture.to_ndarray() for picture in plain.decode(video=0)}
    due = DueTime()
    container, stream = opened(content)
    compared = 0
    with container:
        reader = reader_of(container, stream, due)
        while (packet := reader.read(may_pass=compared > 0)) is not None:
            for picture in decoded(stream, packet):
                assert np.array_equal(picture.to_ndarray(), whole[picture.pts])
                # Only the first packet is PyAV's: whoever wants seconds multiplies by the stream's time base.
                assert (picture.time_base is None) == (compared > 0)
                compared += 1
            due.set(time.monotonic() + 0.0005)
        assert compared + reader.take_passed() == FRAMES
        assert compared > 0


class Slow(io.RawIOBase):
    """Gives a clip little by little, over and over."""

    def __init__(self, content: bytes, error_after: int | None = None) -> None:
        self._content, self._at, self._error_after = content, 0, error_after

    def readable(self) -> bool:
        return True

    def readinto(self, into: object) -> int:
        raise NotImplementedError

    def read(self, size: int = -1) -> bytes:
        if self._error_after is not None and self._at > self._error_after:
            raise ConnectionResetError("the camera was cut off")
        time.sleep(0.001)
        piece = self._content[self._at % len(self._content) :][: min(size, 1316)]
        self._at += len(piece)
        return piece


@needs_known_pyav
def test_a_picture_that_is_wanted_sooner_than_was_said_is_given() -> None:
    due = due_at(time.monotonic() + 3600.0)
    container, stream = opened(Slow(clip()))
    with container:
        reader = reader_of(container, stream, due)
        assert reader.read(may_pass=True) is not None
        began = time.monotonic()
        threading.Timer(0.3, lambda: due.set(0.0)).start()
        packet = reader.read(may_pass=True)
        assert packet is not None
        assert 0.2 < time.monotonic() - began < 20.0
        assert reader.passed.packets > 0


@needs_known_pyav
def test_what_goes_wrong_while_packets_are_passed_is_raised() -> None:
    content = clip()
    container, stream = opened(Slow(content, error_after=2 * len(content)))
    with container:
        reader = reader_of(container, stream, due_at(NEVER))
        with pytest.raises(ConnectionResetError, match="the camera was cut off"):
            all_of(reader)
        assert reader.take_passed() > 0


@needs_known_pyav
@pytest.mark.parametrize("seed", range(4))
def test_packets_that_were_damaged_on_their_way_cost_no_more_than_their_pictures(seed: int) -> None:
    draw = np.random.default_rng(seed)
    content = np.frombuffer(clip(), np.uint8).copy()
    content[draw.integers(8_000, len(content), 40)] ^= draw.integers(1, 255, 40, dtype=np.uint8)
    container, stream = opened(content.tobytes())
    with container:
        reader = reader_of(container, stream, due_at(NEVER))
        all_of(reader)
        assert reader.take_passed() > 0


def test_with_a_pyav_that_is_not_known_pyav_reads_every_packet_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(av, "__version__", "99.0.0")
    undue_packets._calls.cache_clear()
    caplog.set_level(logging.INFO, undue_packets.__name__)
    for _ in range(2):
        container, stream = opened(clip())
        with container:
            reader = reader_of(container, stream, due_at(NEVER))
            packets = all_of(reader)
        assert len([size for _, size in packets if size]) >= FRAMES
        assert reader.take_passed() == 0
    assert [record.getMessage() for record in caplog.records] == [
        "PyAV 99.0.0 is not known well enough: it reads every packet of live cameras by itself"
    ]


def test_a_container_without_a_deadline_is_read_by_pyav() -> None:
    content = clip()
    with av.open(io.BytesIO(content), "r", format="mpegts") as container:
        stream = container.streams.video[0]
        reader = reader_of(container, stream, due_at(NEVER))
        assert all_of(reader) == packets_of(content)
        assert reader.take_passed() == 0


def test_no_address_is_refused() -> None:
    calls = dict.fromkeys(undue_packets._CALLS, 1)
    addresses = {"container": 1, "decoder": 1, "deadline": 1}
    for name in addresses:
        with pytest.raises(ValueError, match=f"{name} must be an address, got 0"):
            UndueReader(calls=calls, **{**addresses, name: 0}, stream=0, interruption=None)
    with pytest.raises(ValueError, match="av_read_frame must be an address, got 0"):
        UndueReader(calls=dict.fromkeys(undue_packets._CALLS, 0), **addresses, stream=0, interruption=None)
