"""How much ``benchmarks/gpu.py`` measures, and what it writes: ``pylfr size --gpu`` reads that."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TypeVar

from benchmarks.measure import Spread, spread_of
from pylfr import ops
from pylfr.types import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured."""

    frame: tuple[int, int] = (1920, 1080)
    networks: tuple[tuple[int, int], ...] = ((640, 384), (1280, 736))
    batches: tuple[int, ...] = (1, 8, 32, 64, 128)
    references: tuple[int, ...] = (10_000, 1_000_000, 10_000_000)
    probes: tuple[int, ...] = (1, 8, 64)
    cameras: tuple[int, ...] = (64, 128, 180, 256)
    # Of decoding: how many streams in how many processes.
    streams: tuple[tuple[int, int], ...] = ((1, 1), (32, 1), (32, 4))
    clip_frames: int = 200
    seconds: float = 6.0
    repeats: int = 20


QUICK = Size(
    frame=(160, 96),
    networks=((64, 32),),
    batches=(1, 2),
    references=(100, 1000),
    probes=(1, 9),
    cameras=(1, 2),
    streams=((1, 1), (2, 1), (2, 2)),
    clip_frames=10,
    seconds=0.2,
    repeats=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One piece of work. ``a_second`` counts images or probes; ``share`` is of the copy bandwidth, None: unknown."""

    what: str
    batch: int
    ms: Spread
    a_second: float
    gigabytes_a_second: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRate:
    """One network at one size of input; ``network`` is pylfr's name for it, or a usual size of random weights."""

    network: str
    width: int
    height: int
    batch: int
    ms: Spread
    images_a_second: float
    random_weights: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRate:
    """The best of so many random references for ``probes`` at once; ``index`` is pylfr's name for it, or a peer's."""

    index: str
    references: int
    dimension: int
    probes: int
    ms: Spread
    searches_a_second: float
    gigabytes_a_second: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraLoad:
    """So many simulated cameras of 25 frames a second, each frame analysed.

    ``begin_ms``: what the host takes to queue a batch; ``finish_ms``: to wait for the one before and recognise it.
    """

    cameras: int
    frames_a_second: float
    p50_ms: float
    p99_ms: float
    is_held: bool
    launches_a_batch: float
    host_bytes_a_frame: float
    device_megabytes_a_camera: float
    begin_ms: float = 0.0
    finish_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRate:
    """Pictures a second of ``streams`` at once, all together; ``decoder`` is as a deployment names it: cpu or nvdec.

    The streams are shared out over ``processes``, as those of several nodes on one machine are.
    """

    decoder: str
    codec: str
    width: int
    height: int
    streams: int
    pictures_a_second: Spread
    processes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLoad:
    """So many live cameras of 25 pictures a second, H.264, received, decoded, batched and decided on.

    Networks that do nothing stand in for those of a deployment. ``sent_hz`` is what was sent to all of them together,
    ``decoded_hz`` what was decoded, and ``analysed_hz`` those of the pictures that were due; ``lost`` were dropped
    after they were decoded. A picture waits from when it is decoded to when it is decided on. ``cores`` counts this
    process's processor time, the senders' left out.
    """

    decoder: str
    width: int
    height: int
    cameras: int
    sent_hz: float
    decoded_hz: float
    analysed_hz: float
    lost: int
    p50_ms: float
    p99_ms: float
    cores: float
    is_held: bool


Row = TypeVar("Row", Timing, NetworkRate, SearchRate, CameraLoad, DecodeRate, LiveLoad)


def _subject(row: Timing | NetworkRate | SearchRate | CameraLoad | DecodeRate | LiveLoad) -> Hashable:
    """What a row is about; of two about the same the newer one counts."""
    if isinstance(row, Timing):
        return row.what, row.batch
    if isinstance(row, NetworkRate):
        return row.network, row.width, row.height, row.batch
    if isinstance(row, SearchRate):
        return row.index, row.references, row.dimension, row.probes
    if isinstance(row, DecodeRate):
        return row.decoder, row.codec, row.width, row.height, row.streams, row.processes
    if isinstance(row, LiveLoad):
        return row.decoder, row.width, row.height, row.cameras
    return row.cameras


def _replace(rows: list[Row], row: Row) -> None:
    """In the place of the row about the same, or at the end."""
    places = [place for place, each in enumerate(rows) if _subject(each) == _subject(row)]
    if places:
        rows[places[0]] = row
    else:
        rows.append(row)


@dataclass(slots=True, kw_only=True)
class Results:
    """Ceilings and what was reached below them; 0 and empty: not measured, and ``left_out`` says why."""

    device: str
    copy_gigabytes_a_second: float = 0.0
    fp16_teraflops: float = 0.0
    timings: list[Timing] = field(default_factory=list)
    rates: list[NetworkRate] = field(default_factory=list)
    searches: list[SearchRate] = field(default_factory=list)
    fused_over_torch: Spread | None = None
    decoding: list[DecodeRate] = field(default_factory=list)
    loads: list[CameraLoad] = field(default_factory=list)
    live: list[LiveLoad] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, what: str, batch: int, ms: Spread, *, moved: int) -> None:
        """A stage that moves so many bytes."""
        rate, share = self._of_copy(moved, ms)
        _replace(
            self.timings,
            Timing(
                what=what, batch=batch, ms=ms, a_second=batch * 1000 / ms.median, gigabytes_a_second=rate, share=share
            ),
        )
        _say(what, batch, ms, share)

    def add_network(
        self, network: str, *, width: int, height: int, batch: int, ms: Spread, random_weights: bool
    ) -> None:
        """A network's time for a batch."""
        _replace(
            self.rates,
            NetworkRate(
                network=network,
                width=width,
                height=height,
                batch=batch,
                ms=ms,
                images_a_second=batch * 1000 / ms.median,
                random_weights=random_weights,
            ),
        )
        _say(f"{network} {width}x{height}{' (random weights)' if random_weights else ''}", batch, ms, None)

    def add_search(
        self, index: str, *, references: int, dimension: int, probes: int, ms: Spread, moved: int | None = None
    ) -> None:
        """A search's time; ``moved`` counts the bytes of references that it reads."""
        rate, share = (None, None) if moved is None else self._of_copy(moved, ms)
        _replace(
            self.searches,
            SearchRate(
                index=index,
                references=references,
                dimension=dimension,
                probes=probes,
                ms=ms,
                searches_a_second=probes * 1000 / ms.median,
                gigabytes_a_second=rate,
                share=share,
            ),
        )
        _say(f"search {index} {references:,} x {dimension}", probes, ms, share)

    def add_decoding(
        self,
        decoder: str,
        *,
        codec: str,
        width: int,
        height: int,
        streams: int,
        rates: Sequence[float],
        processes: int = 1,
    ) -> None:
        """Pictures a second, turn by turn."""
        spread = spread_of(rates)
        _replace(
            self.decoding,
            DecodeRate(
                decoder=decoder,
                codec=codec,
                width=width,
                height=height,
                streams=streams,
                pictures_a_second=spread,
                processes=processes,
            ),
        )
        what = f"decode {codec} {width}x{height} by {decoder}, {streams} at once"
        if processes > 1:
            what += f" in {processes} processes"
        print(f"{what:60} {spread.median:12.1f} /s ({spread.min:.0f} to {spread.max:.0f})", flush=True)

    def add_load(self, load: CameraLoad) -> None:
        """What so many cameras took."""
        _replace(self.loads, load)
        print(load, flush=True)

    def add_live(self, load: LiveLoad) -> None:
        """What so many live cameras took."""
        _replace(self.live, load)
        print(load, flush=True)

    def leave_out(self, what: str) -> None:
        """Say now, and in the results, what is not measured and why."""
        if what not in self.left_out:
            self.left_out.append(what)
        print(f"left out: {what}", flush=True)

    def update(self, newer: Results) -> None:
        """Take over what was measured later on the same device. Raises ``ValueError`` for another device."""
        if newer.device != self.device:
            raise ValueError(
                f"results must be of {self.device}, got some of {newer.device}: give each device a file of its own"
            )
        for row in newer.timings:
            _replace(self.timings, row)
        for rate in newer.rates:
            _replace(self.rates, rate)
        for search in newer.searches:
            _replace(self.searches, search)
        for decoded in newer.decoding:
            _replace(self.decoding, decoded)
        for load in newer.loads:
            _replace(self.loads, load)
        for live in newer.live:
            _replace(self.live, live)
        self.copy_gigabytes_a_second = newer.copy_gigabytes_a_second or self.copy_gigabytes_a_second
        self.fp16_teraflops = newer.fp16_teraflops or self.fp16_teraflops
        self.fused_over_torch = newer.fused_over_torch or self.fused_over_torch
        self.left_out += [each for each in newer.left_out if each not in self.left_out]

    def _of_copy(self, moved: int, ms: Spread) -> tuple[float, float | None]:
        """GB/s, and their share of the copy bandwidth where that was measured."""
        rate = moved / ms.median / 1e6
        return rate, rate / self.copy_gigabytes_a_second if self.copy_gigabytes_a_second else None


def _say(what: str, batch: int, ms: Spread, share: float | None) -> None:
    limit = "" if share is None else f"  {100 * share:5.1f} % of copy bandwidth"
    print(f"{what:48} batch {batch:<4} {ms.median:9.3f} ms {batch * 1000 / ms.median:12.1f} /s{limit}", flush=True)


def device_ms(stream: ops.Stream, work: Callable[[], object], repeats: int) -> Spread:
    """Milliseconds of ``work`` by the device's own events, after three runs that do not count."""
    taken = []
    for turn in range(3 + repeats):
        began = stream.record(timed=True)
        work()
        ended = stream.record(timed=True)
        ended.synchronise()
        if turn >= 3:
            taken.append(ended.ms_since(began))
    return spread_of(taken, warmup=3)


def has_torch(device: Device) -> bool:
    """Whether PyTorch is installed and finds that device."""
    if find_spec("torch") is None:
        return False
    import torch

    return device == "cpu" or bool(torch.cuda.is_available())
