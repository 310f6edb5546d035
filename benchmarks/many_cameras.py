"""What Python costs where a GPU decodes: so many live cameras of tiny pictures, from the network to decisions.

    python -m benchmarks.many_cameras [--cameras 180] [--processes 1 2 4] [--rounds 5] [--seconds 4] [--dry-run]

Another process sends 25 pictures of 64 x 64 a second to each camera's port, MPEG-TS by UDP: one camera after the other,
as cameras know nothing of each other, or all of them at one moment, as where one clock triggers them. This one
demultiplexes, decodes, samples at 8 Hz and batches, a thread per camera, as a deployment does: what remains of decoding
pictures this small is about what NVDEC leaves to the CPU. The engine's own loop takes the batches, with networks that
do nothing (``benchmarks.idle_stages``), without faces and with one in every frame. Where there are several processes,
as of several nodes on one machine, each has an engine and its share of the cameras, and they are measured together.
Processor time, not elapsed time; PyAV alone and the engines take turns, because machines change their speed.
Writes benchmarks/results/many_cameras.json.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise, product
from statistics import median
from typing import get_args

import av

from benchmarks.idle_stages import idle_engine_running
from benchmarks.live_streams import OPEN_S, OPTIONS, RATE_HZ, READ_S, Pictures, Sent, address_of, sending, source_of
from benchmarks.measure import print_machine, this_machine, write_results
from benchmarks.together import Together, processes_together
from pylfr.engine.observer import Observer
from pylfr.sizing.stopwatch import thread_cpu_s
from pylfr.types import FrameBatch
from pylfr.video.batching.batcher import Batcher

PICTURES = Pictures()
DETECT_HZ, CLOSER_HZ = 8.0, 30.0
BATCH = 64
WARM_UP_S = 3.0
LOOP = "pylfr-engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    """Processor time while engines ran, by what it was spent on: medians over the rounds.

    ``pyav_us_a_picture`` is the processor time of threads in which PyAV receives and decodes, and nothing else, in the
    same round. ``us_a_picture`` is that of decoding, sampling and queueing a picture, of ``decoded_hz`` a second of all
    cameras; ``loop_us_a_frame`` what the engine's loop needs for a frame that is analysed, of ``analysed_hz`` a second.
    ``own_cores`` is pylfr's own part, PyAV's left out, for the rates that the cameras have, whatever was lost here, and
    ``own_cores_range`` its least and its most of any round.
    """

    processes: int
    sent: Sent
    faces_a_frame: int
    pyav_us_a_picture: float
    decoded_hz: float
    analysed_hz: float
    frames_a_batch: float
    us_a_picture: float
    loop_us_a_frame: float
    own_cores: float
    own_cores_range: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyCameras:
    """What so many cameras cost, as they may send."""

    cameras: int
    runs: tuple[OneRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spent:
    """What was counted and spent, until a moment or between two, in one process or in several."""

    seconds: float
    cpu_s: float
    decoded: int
    loop_s: float = 0.0
    analysed: int = 0
    batches: int = 0

    def since(self, before: _Spent) -> _Spent:
        return self._with(before, -1, self.seconds - before.seconds)

    def beside(self, other: _Spent) -> _Spent:
        return self._with(other, 1, self.seconds)

    def _with(self, other: _Spent, sign: int, seconds: float) -> _Spent:
        return _Spent(
            seconds=seconds,
            cpu_s=self.cpu_s + sign * other.cpu_s,
            decoded=self.decoded + sign * other.decoded,
            loop_s=self.loop_s + sign * other.loop_s,
            analysed=self.analysed + sign * other.analysed,
            batches=self.batches + sign * other.batches,
        )


def measured(read: Callable[[], _Spent], counts: Callable[[], Sequence[int]], seconds: float) -> _Spent:
    """What ``read`` counts in so many seconds, from when every camera of every process has sent pictures."""
    while not all(counts()):
        time.sleep(0.1)
    Together.barrier.wait()
    time.sleep(WARM_UP_S)
    before = read()
    time.sleep(seconds)
    spent = read().since(before)
    # Whoever ended would leave the cores to the others.
    Together.barrier.wait()
    return spent


def pyav_alone(cameras: range, seconds: float) -> _Spent:
    """Threads in which PyAV alone works."""
    counts = dict.fromkeys(cameras, 0)
    is_over = threading.Event()

    def decode(camera: int) -> None:
        with av.open(address_of(camera), format="mpegts", options=OPTIONS, timeout=(OPEN_S, READ_S)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            for packet in container.demux(container.streams.video[0]):
                # Who joins in the middle is sent pictures that are made from others first.
                with contextlib.suppress(av.error.InvalidDataError):
                    counts[camera] += len(packet.decode())
                if is_over.is_set():
                    return

    def read() -> _Spent:
        return _Spent(seconds=time.monotonic(), cpu_s=time.process_time(), decoded=sum(counts.values()))

    threads = [threading.Thread(target=decode, args=(camera,)) for camera in cameras]
    for thread in threads:
        thread.start()
    try:
        return measured(read, lambda: tuple(counts.values()), seconds)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


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


def engine_over(cameras: range, seconds: float, faces_a_frame: int) -> _Spent:
    """An engine over live cameras."""
    batches = _Batches()
    batcher = Batcher([source_of(number) for number in cameras], size=BATCH, detect_hz=DETECT_HZ, closer_hz=CLOSER_HZ)

    def read() -> _Spent:
        counts = engine.cameras().values()
        return _Spent(
            seconds=time.monotonic(),
            cpu_s=time.process_time(),
            decoded=sum(each.came for each in counts),
            loop_s=loop_seconds(),
            analysed=sum(each.passed_on for each in counts),
            batches=batches.ended,
        )

    with idle_engine_running(batcher, faces_a_frame=faces_a_frame, observers=(batches,)) as engine:
        return measured(read, lambda: [each.came for each in engine.cameras().values()], seconds)


def in_processes(processes: int, cameras: int, sent: Sent, work: Callable[..., _Spent], *further: float) -> _Spent:
    """What ``work`` spends in so many processes together, each with its share of the cameras."""
    edges = [cameras * number // processes for number in range(processes + 1)]
    with sending(cameras, sent, PICTURES), processes_together(processes) as pool:
        begun = [pool.submit(work, range(*part), *further) for part in pairwise(edges)]
        return reduce(_Spent.beside, (each.result() for each in begun))


def of_rounds(
    cameras: int, processes: int, sent: Sent, faces_a_frame: int, rounds: Sequence[tuple[_Spent, _Spent]]
) -> OneRun:
    """The medians of rounds: what PyAV alone has spent, and what engines have."""
    plain = [alone.cpu_s / alone.decoded * 1e6 for alone, _ in rounds]
    picture = [(spent.cpu_s - spent.loop_s) / spent.decoded * 1e6 for _, spent in rounds]
    loop = [spent.loop_s / spent.analysed * 1e6 for _, spent in rounds]
    own = [
        cameras * (RATE_HZ * (each - alone) + DETECT_HZ * in_loop) * 1e-6
        for alone, each, in_loop in zip(plain, picture, loop, strict=True)
    ]
    return OneRun(
        processes=processes,
        sent=sent,
        faces_a_frame=faces_a_frame,
        pyav_us_a_picture=median(plain),
        decoded_hz=median(spent.decoded / spent.seconds for _, spent in rounds),
        analysed_hz=median(spent.analysed / spent.seconds for _, spent in rounds),
        frames_a_batch=median(spent.analysed / spent.batches for _, spent in rounds),
        us_a_picture=median(picture),
        loop_us_a_frame=median(loop),
        own_cores=median(own),
        own_cores_range=(min(own), max(own)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=180)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--sent", nargs="+", choices=get_args(Sent), default=get_args(Sent))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--dry-run", action="store_true", help="write no results")
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    runs = []
    for processes, sent in product(given.processes, given.sent):
        rounds: list[list[tuple[_Spent, _Spent]]] = [[], []]
        for number in range(given.rounds):
            alone = in_processes(processes, given.cameras, sent, pyav_alone, given.seconds)
            for faces, found in enumerate(rounds):
                spent = in_processes(processes, given.cameras, sent, engine_over, given.seconds, faces)
                found.append((alone, spent))
            print(f"{processes} processes, {sent}: round {number + 1} of {given.rounds}", flush=True)
        for faces, found in enumerate(rounds):
            runs.append(of_rounds(given.cameras, processes, sent, faces, found))
            print(runs[-1], flush=True)
    if not given.dry_run:
        result = ManyCameras(cameras=given.cameras, runs=tuple(runs))
        print(write_results("many_cameras", machine, result))


if __name__ == "__main__":
    main()
