"""What reads on in PyAV's place: its packets, its deadline, its interruption. The functions are ours, not FFmpeg's."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from dataclasses import dataclass, field

import pytest

from pylfr.ops import DueTime, Interruption, UndueReader

# As libavutil/error.h has them.
AGAIN, EXIT, INVALID, NO_MEMORY = (
    -11,
    -int.from_bytes(b"EXIT", "little"),
    -int.from_bytes(b"INDA", "little"),
    -12,
)
VIDEO, SOUND = 3, 1
SOON_S, LONG_S = 5.0, 60.0

READ = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
UNREF = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
ALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p)


class Packet(ctypes.Structure):
    _fields_ = (
        ("buffer", ctypes.c_void_p), ("pts", ctypes.c_int64), ("dts", ctypes.c_int64), ("data", ctypes.c_void_p),
        ("size", ctypes.c_int), ("stream", ctypes.c_int), ("flags", ctypes.c_int),
    )  # fmt: skip


@dataclass
class Camera:
    """Packets of these streams, one for each call, then nothing until FFmpeg is told to give up.

    The reader must go before the functions that it calls: ``with camera:``.
    """

    streams: list[int]
    timeout_s: float = LONG_S
    pause_s: float = 0.0
    decoding_s: float = 0.0
    sent: int = 0
    held: int = 0
    frames: int = 0
    send_error: int = 0
    asks: bool = True
    wanted_after: int | None = None
    due: DueTime = field(default_factory=DueTime)
    interruption: Interruption = field(default_factory=Interruption)
    packet: Packet = field(default_factory=Packet)

    def __post_init__(self) -> None:
        self.deadline = (ctypes.c_double * 2)(0.0, self.timeout_s)
        self.due.set(float("inf"))
        self._pictures = 0
        self._functions = {
            "av_read_frame": READ(self._read),
            "avcodec_send_packet": READ(self._send),
            "avcodec_receive_frame": READ(self._receive),
            "av_packet_unref": UNREF(self._let_go),
            "av_frame_alloc": ALLOC(self._frame),
            "av_frame_unref": UNREF(lambda _: None),
            "av_frame_free": UNREF(self._free),
        }
        self.reader = UndueReader(
            calls={name: ctypes.cast(each, ctypes.c_void_p).value or 0 for name, each in self._functions.items()},
            container=1,
            decoder=1,
            deadline=ctypes.addressof(self.deadline),
            stream=VIDEO,
            interruption=self.interruption,
        )

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        del self.reader

    def read(self) -> int:
        return self.reader.read(ctypes.addressof(self.packet), self.due)

    def _read(self, _: int, packet: int) -> int:
        assert not self.held
        if not self.streams:
            while self.deadline[1] < 0:
                time.sleep(0.01)
            return EXIT
        time.sleep(self.pause_s)
        if self.asks and self.deadline[1] >= 0:
            return EXIT
        self.held = 1
        self.sent += 1
        if self.wanted_after == self.sent:
            self.due.set(0.0)
        head = Packet.from_address(packet)
        head.stream, head.flags = self.streams.pop(0), self.sent == 1
        return 0

    def _send(self, _: int, __: int) -> int:
        time.sleep(self.decoding_s)
        self._pictures += not self.send_error
        return self.send_error

    def _receive(self, _: int, __: int) -> int:
        has_one, self._pictures = self._pictures > 0, 0
        return 0 if has_one else AGAIN

    def _let_go(self, _: int) -> None:
        self.held = 0

    def _frame(self) -> int:
        self.frames += 1
        return 1

    def _free(self, _: int) -> None:
        self.frames -= 1


def test_what_is_passed_is_decoded_let_go_of_and_counted() -> None:
    with Camera([VIDEO, SOUND, VIDEO, VIDEO, SOUND], wanted_after=5) as camera:
        assert camera.read() == 0
        assert (camera.packet.stream, camera.held) == (SOUND, 1)
        assert camera.reader.take_passed() == (3, 1, 1, 3)
        assert camera.reader.take_passed() == (0, 0, 0, 0)


def test_a_packet_that_is_wanted_now_is_given_at_once_and_let_go_of_by_the_next_read() -> None:
    with Camera([VIDEO, VIDEO], wanted_after=1) as camera:
        for sent in (1, 2):
            assert camera.read() == 0
            assert (camera.sent, camera.held) == (sent, 1)
        assert camera.reader.take_passed() == (0, 0, 0, 0)


def test_pyav_is_not_asked_for_its_clock_while_the_core_reads_and_is_afterwards() -> None:
    with Camera([], timeout_s=0.2) as camera:
        began = time.monotonic()
        assert camera.read() == EXIT
        assert 0.2 <= time.monotonic() - began < SOON_S
        assert tuple(camera.deadline) == (0.0, 0.2)


def test_every_packet_begins_the_deadline_anew() -> None:
    with Camera([VIDEO] * 6, timeout_s=3.0, pause_s=0.7, wanted_after=6) as camera:
        assert camera.read() == 0


def test_time_between_reads_is_nobodys_waiting() -> None:
    with Camera([VIDEO] * 2, timeout_s=3.0, pause_s=0.2, wanted_after=1) as camera:
        assert camera.read() == 0
        time.sleep(3.5)
        assert camera.read() == 0


def test_decoding_is_nobodys_waiting() -> None:
    with Camera([VIDEO] * 3, timeout_s=3.0, pause_s=0.2, decoding_s=3.5, wanted_after=2) as camera:
        assert camera.read() == 0


def test_pyavs_deadline_begins_anew_after_each_read() -> None:
    with Camera([VIDEO], timeout_s=0.5, wanted_after=1) as camera:
        assert camera.read() == 0
        since_s, timeout_s = camera.deadline
        assert 0 <= time.monotonic() - since_s < SOON_S
        assert timeout_s == 0.5


def test_a_camera_that_never_asks_is_left_with_its_next_packet() -> None:
    with Camera([VIDEO] * 1000, pause_s=0.02, asks=False) as camera:
        threading.Timer(0.1, camera.interruption.interrupt).start()
        assert camera.read() == EXIT
        assert 0 < camera.sent < 1000


def test_a_fork_has_neither_the_reads_nor_the_thread_of_its_parent() -> None:
    with Camera([], timeout_s=0.2) as camera:
        child = os.fork()
        if not child:
            # Whatever hangs is ended, and nothing of pytest runs here.
            signal.alarm(int(LONG_S))
            del camera.reader
            with Camera([], timeout_s=0.2) as own:
                os._exit(0 if own.read() == EXIT else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert camera.read() == EXIT


def test_a_camera_that_is_closed_is_waited_for_no_longer_and_others_are() -> None:
    ended: list[int] = []
    with Camera([]) as closed, Camera([]) as other:
        waiting = threading.Thread(target=lambda: ended.append(other.read()))
        waiting.start()
        threading.Timer(0.1, closed.interruption.interrupt).start()
        began = time.monotonic()
        assert closed.read() == EXIT
        assert time.monotonic() - began < SOON_S
        assert not ended
        other.interruption.interrupt()
        waiting.join()
        assert ended == [EXIT]


@pytest.mark.parametrize(("error", "ends"), [(AGAIN, False), (INVALID, False), (NO_MEMORY, True)])
def test_a_packet_that_cannot_be_decoded_costs_its_pictures_and_other_errors_end_the_read(
    error: int, ends: bool
) -> None:
    with Camera([VIDEO, VIDEO], wanted_after=2, send_error=error) as camera:
        assert camera.read() == (error if ends else 0)
        assert camera.reader.take_passed() == (1, 1, 0, 0)


def test_the_decoders_frame_is_given_back() -> None:
    with Camera([]) as camera:
        assert camera.frames == 1
    assert camera.frames == 0
