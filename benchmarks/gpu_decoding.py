"""Decoding beside decoding: pictures a second of one clip, by NVDEC or by the CPU, in streams and in processes."""

from __future__ import annotations

import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from itertools import islice, product
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import cast

import av
from av.video.stream import VideoStream

from benchmarks.gpu_results import Results, Size
from benchmarks.live_streams import moving_blocks
from benchmarks.together import Together, processes_together
from pylfr import ops
from pylfr.errors import CudaError, MediaError, PylfrError
from pylfr.video.decoding.nvdec import require_nvdec
from pylfr.video.open import DecodeOn, open_file

ENCODERS = {"h264": "libx264", "hevc": "libx265"}
BITS_A_SECOND = 4_000_000
TURNS = 3
# Where one process fails the others do not wait for it for ever.
PATIENCE_S = 30.0


def measure_decoding(results: Results, stream: ops.Stream, size: Size) -> None:
    """What NVDEC gives, where there is one; the CPU's decoder with ``--device cpu``."""
    decode = decoder_on(stream, results, "decoding")
    if decode is None:
        return
    width, height = size.frame
    with tempfile.TemporaryDirectory(prefix="pylfr-clips-") as folder:
        for codec, encoder in ENCODERS.items():
            clip = Path(folder) / f"{codec}.mp4"
            _write_clip(clip, encoder, size)
        for codec, (streams, processes) in product(ENCODERS, size.streams):
            clip = Path(folder) / f"{codec}.mp4"
            try:
                rates = _rates(clip, decode, streams, processes)
            except (PylfrError, BrokenProcessPool) as error:
                results.leave_out(f"decoding {codec}, {streams} at once in {processes} processes: {error}")
                continue
            results.add_decoding(
                decode,
                codec=codec,
                width=width,
                height=height,
                streams=streams,
                rates=rates,
                processes=processes,
            )


def decoder_on(stream: ops.Stream, results: Results, what: str) -> DecodeOn | None:
    """What decodes for this device; None where it has no NVDEC, so that ``what`` is left out of the results."""
    if stream.device == "cpu":
        return "cpu"
    try:
        require_nvdec()
    except CudaError as error:
        results.leave_out(f"{what}: {error}")
        return None
    return "nvdec"


def _write_clip(path: Path, encoder: str, size: Size) -> None:
    width, height = size.frame
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "x265-params": "log-level=none"}
        stream = cast("VideoStream", container.add_stream(encoder, rate=25, options=options))
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", BITS_A_SECOND
        for picture in islice(moving_blocks(width, height), size.clip_frames):
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _rates(clip: Path, decode: DecodeOn, streams: int, processes: int) -> list[float]:
    """Pictures a second, turn by turn, of all processes together."""
    if processes == 1:
        return [_pictures_a_second(clip, decode, streams) for _ in range(TURNS)]
    with processes_together(processes) as pool:
        parts = [pool.submit(_turns, clip, decode, streams // processes) for _ in range(processes)]
        return [sum(each) for each in zip(*(part.result() for part in parts), strict=True)]


def _turns(clip: Path, decode: DecodeOn, streams: int) -> list[float]:
    return [_pictures_a_second(clip, decode, streams, Together.barrier) for _ in range(TURNS)]


def _pictures_a_second(clip: Path, decode: DecodeOn, streams: int, others: Barrier | None = None) -> float:
    """Of all streams together, from when each, and each of ``others``, has given its first picture."""
    began: list[float] = []

    def begin() -> None:
        if others is not None:
            others.wait(PATIENCE_S)
        began.append(time.perf_counter())

    ready = threading.Barrier(streams, action=begin)

    def run(number: int) -> int:
        source = open_file(
            clip,
            camera=f"camera {number}",
            started_at=datetime.now(UTC),
            pace="as-fast-as-possible",
            isolation="none",
            decode=decode,
        )
        count = 0
        try:
            for count, _ in enumerate(source.frames()):
                if count == 0:
                    ready.wait()
        except PylfrError:
            ready.abort()
            raise
        except threading.BrokenBarrierError:  # another one failed, and says why
            pass
        return count

    with ThreadPoolExecutor(streams) as pool:
        decoded = sum(pool.map(run, range(streams)))
    if not began:
        raise MediaError("the streams of another process did not begin: its own words say why")
    return decoded / (time.perf_counter() - began[0])
