"""What Python costs where a GPU decodes: so many live cameras of tiny pictures, from the network to batches.

    python -m benchmarks.many_cameras [--cameras 180] [--seconds 10] [--dry-run]

Another process sends 25 pictures of 64 x 64 a second to each camera's port, MPEG-TS by UDP. This one demultiplexes,
decodes, samples at 8 Hz and batches, a thread per camera, as a deployment does: what remains of decoding pictures this
small is about what NVDEC leaves to the CPU. Processor time of the whole process, for 4,500 pictures a second. Writes
benchmarks/results/many_cameras.json.
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

from benchmarks.measure import print_machine, this_machine, write_results
from pylfr.video.batching.batcher import Batcher
from pylfr.video.sources.attempt import ReconnectPolicy
from pylfr.video.sources.live import Connection, LiveSource

SIDE_PX = 64
RATE_HZ, DETECT_HZ = 25, 8.0
FIRST_PORT = 23_000
BATCH = 64
WARM_UP_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyCameras:
    """``decoded_hz`` and ``batched_hz`` count pictures of all cameras; ``cores`` is processor time a second.

    ``pyav`` is the same without pylfr: threads in which PyAV receives and decodes, and nothing else happens.
    """

    cameras: int
    seconds: float
    decoded_hz: float
    batched_hz: float
    cores: float
    us_a_picture: float
    pyav_us_a_picture: float


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


def source_of(camera: int) -> LiveSource:
    return LiveSource(
        address_of(camera),
        camera=f"camera {camera}",
        connection=Connection(input_format="mpegts", ways=(OPTIONS,)),
        patience=ReconnectPolicy(open_s=30.0, read_s=10.0),
        threads=1,
    )


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


def measure(cameras: int, seconds: float) -> ManyCameras:
    plain = pyav_us(cameras, seconds)
    sources = [source_of(number) for number in range(cameras)]
    taken = 0
    sequences: dict[str, int] = {}
    try:
        with sending(cameras), Batcher(sources, size=BATCH, detect_hz=DETECT_HZ) as batches:
            began = spent = 0.0
            first: dict[str, int] = {}
            start = time.monotonic()
            for batch in batches:
                now = time.monotonic()
                for frame in batch.frames:
                    sequences[frame.camera] = frame.sequence
                if not began and now - start >= WARM_UP_S and len(sequences) == cameras:
                    began, spent, taken, first = now, time.process_time(), 0, dict(sequences)
                taken += len(batch.frames)
                if began and now - began >= seconds:
                    break
            lasted, spent = time.monotonic() - began, time.process_time() - spent
    finally:
        for source in sources:
            source.close()
    decoded = sum(sequences[name] - first[name] for name in sequences)
    return ManyCameras(
        cameras=cameras,
        seconds=lasted,
        decoded_hz=decoded / lasted,
        batched_hz=taken / lasted,
        cores=spent / lasted,
        us_a_picture=spent / decoded * 1e6,
        pyav_us_a_picture=plain,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=180)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--dry-run", action="store_true", help="write no results")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    result = measure(given.cameras, given.seconds)
    print(result)
    if not given.dry_run:
        print(write_results("many_cameras", machine, result))


if __name__ == "__main__":
    main()
