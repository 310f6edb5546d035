"""What FFmpeg does for a camera ends once the camera is to be closed; nothing else is touched."""

from __future__ import annotations

import socket
import threading
import time

import av
import pytest

from pylfr import ops
from pylfr.video.decoding.interruption import Closing, interrupted_by

# Whoever is interrupted has a deadline of its own that is far longer.
SOON_S, LONG_S = 5.0, 60.0


def test_the_clock_is_pythons_own_until_somebody_is_interrupted() -> None:
    closing = Closing()
    with interrupted_by(closing):
        assert abs(ops.waiting_clock() - time.monotonic()) < SOON_S
        closing.set()
        closing.set()
        assert closing.is_set()
        leaps = [ops.waiting_clock() - time.monotonic() for _ in range(3)]
        assert min(leaps) > 1e8
        assert leaps == sorted(leaps)
    assert abs(ops.waiting_clock() - time.monotonic()) < SOON_S


def test_the_clock_of_another_thread_goes_on() -> None:
    closing = Closing()
    closing.set()
    seen: list[float] = []
    with interrupted_by(closing):
        thread = threading.Thread(target=lambda: seen.append(ops.waiting_clock() - time.monotonic()))
        thread.start()
        thread.join()
    assert abs(seen[0]) < SOON_S


def test_what_interrupted_before_does_so_again_afterwards() -> None:
    outer, inner = Closing(), Closing()
    with interrupted_by(outer):
        with interrupted_by(inner):
            outer.set()
            assert abs(ops.waiting_clock() - time.monotonic()) < SOON_S
        assert ops.waiting_clock() - time.monotonic() > 1e8


def test_a_read_that_waits_ends_soon_after_the_camera_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        closing = Closing()
        began = time.monotonic()
        threading.Timer(0.2, closing.set).start()
        with interrupted_by(closing), pytest.raises((av.error.FFmpegError, OSError)):
            av.open(address, format="mpegts", timeout=(LONG_S, LONG_S))
        assert 0.2 <= time.monotonic() - began < SOON_S
