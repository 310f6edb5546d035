"""What Python costs where a GPU decodes: so many live cameras of tiny pictures, from the network to decisions.

    python -m benchmarks.many_cameras [--cameras 180] [--seconds 10] [--dry-run]

Another process sends 25 pictures of 64 x 64 a second to each camera's port, MPEG-TS by UDP. This one demultiplexes,
decodes, samples at 8 Hz and batches, a thread per camera, as a deployment does: what remains of decoding pictures this
small is about what NVDEC leaves to the CPU. The engine's own loop takes the batches, with networks that do nothing
(``benchmarks.idle_stages``): once without faces, once with one in every frame. Processor time, not elapsed time.
Writes benchmarks/results/many_cameras.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Event

import av
import numpy as np
from av.video.frame import VideoFrame

from benchmarks.idle_stages import idle_engine
from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Observer
from pylfr.sizing.stopwatch import thread_cpu_s
from pylfr.types import FrameBatch
from pylfr.video.batching.batcher import Batcher
from pylfr.video.sources.attempt import ReconnectPolicy
from pylfr.video.sources.live import Connection, LiveSource
from pylfr.video.sources.replay_detection import ReplayCheckedSource, ReplayRules

SIDE_PX = 64
RATE_HZ, DETECT_HZ, CLOSER_HZ = 25, 8.0, 30.0
FIRST_PORT = 23_000
BATCH = 64
WARM_UP_S = 3.0
LOOP = "pylfr-engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    """Processor time while an engine ran, by what it was spent on.

    ``us_a_picture`` is that of decoding, sampling and queueing a picture, of ``decoded_hz`` a second of all cameras;
    ``loop_us_a_frame`` what the engine's loop needs for a frame that is analysed, of ``analysed_hz`` a second.
    ``own_cores`` is pylfr's own part, PyAV's left out, for the rates that the cameras have, whatever was lost here.
    """

    faces_a_frame: int
    seconds: float
    decoded_hz: float
    analysed_hz: float
    frames_a_batch: float
    us_a_picture: float
    loop_us_a_frame: float
    own_cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyCameras:
    """``pyav_us_a_picture`` is the processor time of threads in which PyAV receives and decodes, and nothing else."""

    cameras: int
    pyav_us_a_picture: float
    runs: tuple[OneRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What was counted and spent until a moment."""

    at_s: float
    spent_s: float
    loop_s: float
    decoded: int
    analysed: int
    batches: int


def pieces() -> Iterator[bytes]:
    """MPEG-TS without end, a piece per picture; somebody who joins can decode within a second."""
    draw = np.random.default_rng(0)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as container:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(RATE_HZ)}
        stream = container.add_stream("libx264", rate=RATE_HZ, options=options)
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        while True:
            coarse = draw.integers(0, 256, (SIDE_PX * 3 // 16, SIDE_PX // 8), np.uint8)
            picture = VideoFrame.from_ndarray(np.kron(coarse, np.ones((8, 8), np.uint8)), "yuv420p")
            container.mux(stream.encode(picture))
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()


def send(cameras: int, is_over: Event) -> None:
    """Sends one stream to every port, evenly in time."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    began = time.monotonic()
    for turn, piece in enumerate(pieces(), 1):
        if is_over.is_set():
            return
        for camera in range(cameras):
            for start in range(0, len(piece), 1316):
                out.sendto(piece[start : start + 1316], ("127.0.0.1", FIRST_PORT + camera))
        time.sleep(max(0.0, began + turn / RATE_HZ - time.monotonic()))


OPTIONS = {"probesize": "20000", "analyzeduration": "500000", "fflags": "nobuffer"}


def address_of(camera: int) -> str:
    return f"udp://127.0.0.1:{FIRST_PORT + camera}?fifo_size=200&overrun_nonfatal=1"


def source_of(camera: int) -> ReplayCheckedSource:
    source = LiveSource(
        address_of(camera),
        camera=f"camera {camera}",
        connection=Connection(input_format="mpegts", ways=(OPTIONS,)),
        patience=ReconnectPolicy(open_s=30.0, read_s=10.0),
        threads=1,
    )
    return ReplayCheckedSource(source, ReplayRules())


@contextlib.contextmanager
def sending(cameras: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    is_over = context.Event()
    sender = context.Process(target=send, args=(cameras, is_over), daemon=True)
    sender.start()
    try:
        yield
    finally:
        is_over.set()
        sender.join()


def pyav_us(cameras: int, seconds: float) -> float:
    """Processor time a picture of threads in which PyAV alone works."""
    counts = [0] * cameras
    is_over = threading.Event()

    def decode(camera: int) -> None:
        with av.open(address_of(camera), format="mpegts", options=OPTIONS, timeout=(30.0, 10.0)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for packet in container.demux(container.streams.video[0]):
                counts[camera] += len(packet.decode())
                if is_over.is_set():
                    return

    threads = [threading.Thread(target=decode, args=(camera,)) for camera in range(cameras)]
    with sending(cameras):
        for thread in threads:
            thread.start()
        while not all(counts):
            time.sleep(0.1)
        time.sleep(WARM_UP_S)
        before, spent = sum(counts), time.process_time()
        time.sleep(seconds)
        decoded, spent = sum(counts) - before, time.process_time() - spent
        is_over.set()
        for thread in threads:
            thread.join()
    return spent / decoded * 1e6


def loop_seconds() -> float:
    """Processor time that the engine's loop has had so far, of the thread that it runs on."""
    (thread,) = (each for each in threading.enumerate() if each.name == LOOP)
    assert thread.native_id is not None
    return thread_cpu_s(thread.native_id)


class _Batches(Observer):
    """Counts them."""

    def __init__(self) -> None:
        self.ended = 0

    def batch_ended(self, batch: FrameBatch) -> None:  # noqa: ARG002
        self.ended += 1


def read(engine: Engine, batches: _Batches) -> _Reading:
    counts = engine.cameras().values()
    return _Reading(
        at_s=time.monotonic(),
        spent_s=time.process_time(),
        loop_s=loop_seconds(),
        decoded=sum(each.came for each in counts),
        analysed=sum(each.passed_on for each in counts),
        batches=batches.ended,
    )


def run(cameras: int, seconds: float, *, faces_a_frame: int, pyav_us_a_picture: float) -> OneRun:
    """An engine over live cameras for so long, from when each of them has sent pictures."""
    batches = _Batches()
    batcher = Batcher(
        [source_of(number) for number in range(cameras)], size=BATCH, detect_hz=DETECT_HZ, closer_hz=CLOSER_HZ
    )
    with sending(cameras), idle_engine(batcher, faces_a_frame=faces_a_frame, observers=(batches,)) as engine:
        reader = threading.Thread(target=lambda: list(engine.run()))
        reader.start()
        while not all(each.came for each in engine.cameras().values()):
            time.sleep(0.1)
        time.sleep(WARM_UP_S)
        before = read(engine, batches)
        time.sleep(seconds)
        after = read(engine, batches)
        engine.stop()
        reader.join()
    lasted = after.at_s - before.at_s
    decoded, analysed = after.decoded - before.decoded, after.analysed - before.analysed
    loop_s = after.loop_s - before.loop_s
    us_a_picture = (after.spent_s - before.spent_s - loop_s) / decoded * 1e6
    loop_us = loop_s / analysed * 1e6
    return OneRun(
        faces_a_frame=faces_a_frame,
        seconds=lasted,
        decoded_hz=decoded / lasted,
        analysed_hz=analysed / lasted,
        frames_a_batch=analysed / (after.batches - before.batches),
        us_a_picture=us_a_picture,
        loop_us_a_frame=loop_us,
        own_cores=cameras * (RATE_HZ * (us_a_picture - pyav_us_a_picture) + DETECT_HZ * loop_us) * 1e-6,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=180)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--dry-run", action="store_true", help="write no results")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    plain = pyav_us(given.cameras, given.seconds)
    print(f"PyAV alone: {plain:.1f} us a picture", flush=True)
    runs = []
    for faces in (0, 1):
        runs.append(run(given.cameras, given.seconds, faces_a_frame=faces, pyav_us_a_picture=plain))
        print(runs[-1], flush=True)
    if not given.dry_run:
        result = ManyCameras(cameras=given.cameras, pyav_us_a_picture=plain, runs=tuple(runs))
        print(write_results("many_cameras", machine, result))


if __name__ == "__main__":
    main()
