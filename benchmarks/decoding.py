"""What decoding costs on a CPU, by threads and slices, without the loop filter, and at the rate of detection.

    python -m benchmarks.decoding [--seconds 5] [--repeats 3]

The clip of `pylfr size` as H.264 and H.265, each also coded in four slices a picture. Processor time is that of all
threads; other programs disturb it less than the clock. Writes benchmarks/results/decoding.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal

import av
from av.video.stream import VideoStream

from benchmarks.measure import Spread, print_machine, spread_of, this_machine, write_results
from pylfr.sizing.footage import ClipRules, Codec, find_portraits, make_clip
from pylfr.video.decoding.frame_sampler import Sampler
from pylfr.video.decoding.picture_options import PictureOptions
from pylfr.video.open import open_file
from pylfr.video.sources.base import due_frames
from pylfr.video.sources.observer import CameraEvent

_SLICES = 4
_ENCODERS: dict[Codec, tuple[str, str]] = {
    "h264": ("libx264", f"slices={_SLICES}"),
    "hevc": ("libx265", f"slices={_SLICES}:log-level=error"),
}
Kind = Literal["SLICE", "FRAME"]
# Threads of one decoder, and what they divide among each other.
_THREADS: Sequence[tuple[int, Kind]] = ((1, "SLICE"), (2, "SLICE"), (2, "FRAME"))
_DETECT_HZ = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingCost:
    """One way to decode every picture of a clip.

    ``delay`` is how many more pictures the decoder holds back than with one thread.
    """

    codec: str
    slices: int
    threads: int
    divided: str
    processor_ms: Spread
    pictures_a_second: Spread
    delay: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledCost:
    """Processor milliseconds for each picture that a camera sends, of which ``detect_hz`` a second are analysed."""

    codec: str
    detect_hz: float | None
    loop_filter: bool
    processor_ms: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Costs for pictures of one size."""

    width: int
    height: int
    costs: list[DecodingCost]
    sampled: list[SampledCost]


class _Sampled:
    """A ``FrameObserver`` that wants so many frames a second."""

    def __init__(self, rate_hz: float | None) -> None:
        self.rate_hz = self.rate_now_hz = rate_hz
        self.due = None
        self._sampler = Sampler(rate_hz)

    def skipped(self, count: int) -> None:
        """Not decoded: that is what is measured."""

    def is_due(self, captured_at: datetime) -> bool:
        return self._sampler.is_due(captured_at)

    def report(self, event: CameraEvent) -> None:
        """Nothing happens to a file."""

    def lost(self, cause: str, count: int) -> None:
        raise AssertionError(f"a file loses nothing, got {count} {cause}")


def in_slices(clip: Path, codec: Codec, path: Path) -> Path:
    """The same pictures, coded in slices."""
    encoder, parameters = _ENCODERS[codec]
    with av.open(str(clip)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=Fraction(25))
        assert isinstance(stream, VideoStream)
        shown = source.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        name = "x264-params" if codec == "h264" else "x265-params"
        stream.options = {"preset": "fast", "crf": "24", "g": "50", name: parameters}
        for picture in source.decode(shown):
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def decode(clip: Path, threads: int, divided: Kind) -> tuple[int, int]:
    """How many pictures there are, and how many packets went in before the first came out."""
    pictures = packets = before = 0
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count, stream.thread_type = threads, divided
        for packet in container.demux(stream):
            packets += 1
            found = len(packet.decode())
            if found and not pictures:
                before = packets
            pictures += found
    return pictures, before


def read(clip: Path, rate_hz: float | None, *, loop_filter: bool) -> int:
    """Frames of pylfr's own source, analysed at that rate."""
    source = open_file(
        clip, camera="clip", started_at=datetime.now(UTC), pace="as-fast-as-possible", isolation="none",
        picture=PictureOptions(loop_filter=loop_filter),
    )  # fmt: skip
    return sum(1 for _ in due_frames(source, _Sampled(rate_hz)))


def timed(work: Callable[[], object], pictures: int, repeats: int) -> tuple[Spread, Spread]:
    """Processor milliseconds a picture, and pictures a second by the clock."""
    processor_ms, a_second = [], []
    for _ in range(repeats):
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        work()
        processor_ms.append(1000 * (time.process_time() - began_cpu_s) / pictures)
        a_second.append(pictures / (time.perf_counter() - began_s))
    return spread_of(processor_ms), spread_of(a_second)


def costs_of(clip: Path, codec: Codec, slices: int, repeats: int) -> Iterator[DecodingCost]:
    pictures, usual = decode(clip, 1, "SLICE")
    for threads, divided in _THREADS:
        processor_ms, a_second = timed(partial(decode, clip, threads, divided), pictures, repeats)
        cost = DecodingCost(
            codec=codec,
            slices=slices,
            threads=threads,
            divided=divided.lower(),
            processor_ms=processor_ms,
            pictures_a_second=a_second,
            delay=decode(clip, threads, divided)[1] - usual,
        )
        print(cost, flush=True)
        yield cost


def sampled_of(clip: Path, codec: Codec, pictures: int, repeats: int) -> Iterator[SampledCost]:
    for rate_hz, loop_filter in ((None, True), (_DETECT_HZ, True), (_DETECT_HZ, False)):
        processor_ms, _ = timed(partial(read, clip, rate_hz, loop_filter=loop_filter), pictures, repeats)
        cost = SampledCost(codec=codec, detect_hz=rate_hz, loop_filter=loop_filter, processor_ms=processor_ms)
        print(cost, flush=True)
        yield cost


def measure(seconds: int, repeats: int, folder: Path) -> Decoding:
    rules = ClipRules(seconds=seconds)
    costs: list[DecodingCost] = []
    sampled: list[SampledCost] = []
    for codec in _ENCODERS:
        clip = make_clip(ClipRules(seconds=seconds, codec=codec), find_portraits(None, count=rules.faces))
        costs += costs_of(clip, codec, 1, repeats)
        costs += costs_of(in_slices(clip, codec, folder / f"{codec}.mp4"), codec, _SLICES, repeats)
        sampled += sampled_of(clip, codec, seconds * 25, repeats)
    return Decoding(width=rules.width, height=rules.height, costs=costs, sampled=sampled)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="of the clip")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    with tempfile.TemporaryDirectory(prefix="pylfr-decoding-") as folder:
        result = measure(given.seconds, given.repeats, Path(folder))
    print(f"written to {write_results('decoding', machine, result)}")


if __name__ == "__main__":
    main()
