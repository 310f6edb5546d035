"""Reads a live camera's packets; those that come before a picture is wanted are decoded by the core, without Python.

Two of three pictures of a camera are decoded only because later ones are made from them. With hundreds of cameras each
of them would make a thread wait for Python's lock some ten times: PyAV takes it even to say, whenever FFmpeg asks,
that it should go on waiting. PyAV has opened the container, and the core reads on in it, by the functions that PyAV is
linked with (``csrc/core/undue_packets.cpp``), and keeps PyAV's deadline (``csrc/core/read_watch.cpp``). That takes the
addresses of PyAV's contexts and of its deadline, which are looked for only in versions whose objects are known, and
checked there. With any other version PyAV reads every packet by itself: more processor time, the same frames.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import logging
import time
from collections.abc import Iterator
from typing import NamedTuple

import av
import av.codec.context
import av.container.core
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from pylfr.ops import DueTime, Interruption, UndueReader
from pylfr.video.decoding.loaded_library import loaded_library

log = logging.getLogger(__name__)

# Versions of PyAV whose objects begin with their context: behind the reference count, the type and the methods. Each
# was tried: of another one even the checks below might read what is no address.
_KNOWN_PYAV = ("18.1",)
_CONTEXT_AT = 24

_CALLS = (
    *("av_read_frame", "av_packet_unref"),
    *("avcodec_send_packet", "avcodec_receive_frame", "av_frame_alloc", "av_frame_unref", "av_frame_free"),
)
_MODULES = (av.container.core, av.codec.context)

# libavutil/error.h: AVERROR_EOF.
_END_OF_FILE = -int.from_bytes(b"EOF ", "little")

# Its context names its deadline for FFmpeg among its first fields.
_CONTEXT_BYTES = 512


class Passed(NamedTuple):
    """What was read and not given: packets of the video stream, key frames among them, other packets; its pictures."""

    packets: int
    keys: int
    others: int
    pictures: int


NOTHING_PASSED = Passed(0, 0, 0, 0)

_NOW = DueTime()


class PacketReader:
    """Packets of every stream of an open container. ``due`` says when a picture of ``stream`` is wanted; None: always.

    What it waits for ends as PyAV's own reads do: after the container's timeout, and once ``interruption`` says so.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, *, due: DueTime | None, interruption: Interruption | None
    ) -> None:
        self._container = container
        self._stream = stream
        self._packets: Iterator[Packet[Stream]] = container.demux()
        self._due = due
        self._interruption = interruption
        self._core: UndueReader | None = None
        self._cores_packet: Packet[Stream] = Packet()
        self._cores_address = 0
        self._pictures = 0
        self.passed = NOTHING_PASSED

    def read(self, *, may_pass: bool) -> Packet[Stream] | None:
        """The next packet, None after the last; with ``may_pass`` the next one that comes when a picture is wanted.

        It holds its content until the next call. The core's have no time base, nor have their pictures. What was read
        before it is ``passed``. Raises what PyAV raises, and ``OSError`` where no thread can be started.
        """
        if self._core is None or self._due is None:
            return self._read_by_pyav()
        error = self._core.read(self._cores_address, self._due if may_pass else _NOW)
        self.passed = Passed(*self._core.take_passed())
        self._pictures += self.passed.pictures
        if error == _END_OF_FILE:
            # PyAV has the decoder's last pictures.
            return next(self._packets, None)
        av.error.err_check(error)
        return self._cores_packet

    def take_passed(self) -> int:
        """How many pictures were passed since this was asked last."""
        count, self._pictures = self._pictures, 0
        return count

    def _read_by_pyav(self) -> Packet[Stream] | None:
        packet = next(self._packets, None)
        if self._due is not None and self._core is None:
            self._core = _reader_of(self._container, self._stream, self._interruption)
            if self._core is None:
                self._due = None
            else:
                self._cores_address = _address_of(self._cores_packet)
        return packet


def _reader_of(container: InputContainer, stream: VideoStream, interruption: Interruption | None) -> UndueReader | None:
    """What reads in the place of PyAV, which has begun to; None where its objects are not as they are known."""
    calls = _calls()
    if calls is None:
        return None
    deadline = _deadline_of(container)
    contexts = (container, "avformat_get_class"), (stream.codec_context, "avcodec_get_class")
    if not deadline or any(_word_at(_address_of(owner)) != _call(_address(name)) for owner, name in contexts):
        log.info("PyAV's objects are not as they are known: it reads every packet of a camera by itself")
        return None
    try:
        return UndueReader(
            calls=calls,
            container=_address_of(container),
            decoder=_address_of(stream.codec_context),
            deadline=deadline,
            stream=stream.index,
            interruption=interruption,
        )
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, f"no thread can watch the camera's reads: {error}") from error


def _deadline_of(container: InputContainer) -> int:
    """The address of the deadline of PyAV's reads, which is in the container's object; 0 where it is not found."""
    if not container.read_timeout:
        return 0
    first, last = id(container) + _CONTEXT_AT, id(container) + type(container).__basicsize__ - 16
    words = (_word_at(_address_of(container) + at) for at in range(0, _CONTEXT_BYTES, 8))
    found = [word for word in words if first < word <= last]
    if len(found) != 1:
        return 0
    since_s, timeout_s = (ctypes.c_double * 2).from_address(found[0])
    return found[0] if timeout_s == container.read_timeout and since_s <= time.monotonic() else 0


@functools.cache
def _calls() -> dict[str, int] | None:
    """The addresses of FFmpeg's functions; None, logged once, for a version of PyAV that is not known."""
    version = av.__version__
    found: dict[str, int] | None = None
    if version.rpartition(".")[0] in _KNOWN_PYAV and _packets_are_known():
        found = {name: _address(name) for name in _CALLS}
    if found is None or not all(found.values()):
        log.info("PyAV %s is not known well enough: it reads every packet of live cameras by itself", version)
        return None
    return found


class _Head(ctypes.Structure):
    """``AVPacket``, as libavcodec/packet.h has its beginning."""

    _fields_ = (
        ("buffer", ctypes.c_void_p),
        ("pts", ctypes.c_int64),
        ("dts", ctypes.c_int64),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_int),
        ("stream", ctypes.c_int),
        ("flags", ctypes.c_int),
    )


def _packets_are_known() -> bool:
    """Whether a packet lies in memory as the core reads it."""
    if Packet.__basicsize__ < _CONTEXT_AT + ctypes.sizeof(ctypes.c_void_p):
        return False
    packet: Packet[Stream] = Packet(b"five!")
    packet.pts, packet.dts, packet.is_keyframe = 0x123456789, 0x987654321, True
    head = _Head.from_address(_address_of(packet))
    return (head.pts, head.dts, head.data, head.size, head.stream, head.flags & 1) == (
        packet.pts, packet.dts, packet.buffer_ptr, packet.buffer_size, packet.stream_index, 1,
    )  # fmt: skip


def _address_of(owner: object) -> int:
    """The address of the context or the packet that an object of PyAV is about."""
    return _word_at(id(owner) + _CONTEXT_AT)


def _word_at(address: int) -> int:
    return ctypes.c_void_p.from_address(address).value or 0


def _call(function: int) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_void_p)(function)() or 0


@functools.cache
def _address(name: str) -> int:
    """The address of a function of the FFmpeg that PyAV is linked with; 0 where it has none of that name."""
    for module in _MODULES:
        if (function := getattr(loaded_library(str(module.__file__)), name, None)) is not None:
            return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0
