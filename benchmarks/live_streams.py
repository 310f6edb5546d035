"""So many live cameras of one picture: MPEG-TS by UDP, sent by another process, and the sources that receive them."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import Literal

import av
import numpy as np
from av.video.frame import VideoFrame

from pylfr.video.decoding.backend import ON_CPU, Decoding
from pylfr.video.sources.attempt import ReconnectPolicy
from pylfr.video.sources.live import Connection, LiveSource
from pylfr.video.sources.replay_detection import ReplayCheckedSource, ReplayRules

RATE_HZ = 25
FIRST_PORT = 23_000
OPEN_S, READ_S = 30.0, 10.0

Sent = Literal["in turn", "at once"]

# No sleep is shorter than this.
LEAST_WAIT_S = 0.0005

# What the network takes at once, and what PyAV may hold of it: more than the largest picture.
_DATAGRAM = 1316
_FIFO_PACKETS = 4000
OPTIONS = {"probesize": "500000", "analyzeduration": "500000", "fflags": "nobuffer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What every camera sends."""

    width: int = 64
    height: int = 64
    kilobits_a_second: int = 250


def moving_blocks(width: int, height: int) -> Iterator[VideoFrame]:
    """Pictures without end: blocks that move a little each time, with the noise of a sensor."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(40, 200, (height // 16 + 1, width // 16 + 1), np.uint8)
    blocks = np.kron(coarse, np.ones((16, 16), np.uint8))[:height, :width]
    noise = draw.integers(0, 7, (8, height, width), np.uint8)
    colour = np.full((height // 2, width), 128, np.uint8)
    for number in count():
        luma = np.roll(blocks, 2 * number % width, axis=1) + noise[number % len(noise)]
        yield VideoFrame.from_ndarray(np.concatenate([luma, colour]), "yuv420p")


def pieces(pictures: Pictures) -> Iterator[bytes]:
    """MPEG-TS without end, a piece per picture; somebody who joins can decode within a second."""
    # Also key frames fit into what a socket holds.
    rate = f"vbv-maxrate={pictures.kilobits_a_second}:vbv-bufsize={pictures.kilobits_a_second // 12}"
    options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(RATE_HZ), "x264-params": rate}
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options=options)
        stream.width, stream.height, stream.pix_fmt = pictures.width, pictures.height, "yuv420p"
        stream.bit_rate = 1000 * pictures.kilobits_a_second
        for picture in moving_blocks(pictures.width, pictures.height):
            container.mux(stream.encode(picture))
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()


def send(cameras: int, sent: Sent, pictures: Pictures, done: Synchronized[int], is_over: Event) -> None:
    """Sends one stream to every port: a picture to one camera after the other, or to all of them at once."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    parent, began = os.getppid(), time.monotonic()
    for turn, piece in enumerate(pieces(pictures)):
        if is_over.is_set() or os.getppid() != parent:
            return
        for camera in range(cameras):
            share = camera / cameras if sent == "in turn" else 0.0
            wait_s = began + (turn + share) / RATE_HZ - time.monotonic()
            if wait_s > LEAST_WAIT_S:
                time.sleep(wait_s)
            for start in range(0, len(piece), _DATAGRAM):
                out.sendto(piece[start : start + _DATAGRAM], ("127.0.0.1", FIRST_PORT + camera))
        done.value += cameras


@contextlib.contextmanager
def sending(cameras: int, sent: Sent, pictures: Pictures) -> Iterator[Synchronized[int]]:
    """Another process sends meanwhile; how many pictures it has sent so far."""
    context = multiprocessing.get_context("spawn")
    is_over, done = context.Event(), context.Value("q", 0)
    sender = context.Process(target=send, args=(cameras, sent, pictures, done, is_over), daemon=True)
    sender.start()
    try:
        yield done
    finally:
        is_over.set()
        sender.join()


def address_of(camera: int) -> str:
    """Where its pictures arrive."""
    return f"udp://127.0.0.1:{FIRST_PORT + camera}?fifo_size={_FIFO_PACKETS}&overrun_nonfatal=1"


def source_of(camera: int, decoding: Decoding = ON_CPU) -> ReplayCheckedSource:
    """The camera as a deployment reads it."""
    source = LiveSource(
        address_of(camera),
        camera=f"camera {camera}",
        connection=Connection(input_format="mpegts", ways=(OPTIONS,)),
        patience=ReconnectPolicy(open_s=OPEN_S, read_s=READ_S),
        threads=1,
        decoding=decoding,
    )
    return ReplayCheckedSource(source, ReplayRules())
