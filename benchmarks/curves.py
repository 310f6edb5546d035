"""What more of something costs: cameras (to the limit and beyond), faces a frame, watchlist size, tracks alive.

    python -m benchmarks.curves [--cameras 1 2 4 8 12 16 24] [--probe-s 8]

Cameras are played in real time; the other curves time one stage at a time, on one thread. Each slope is a straight
line through the medians, and is explained in words.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice

import numpy as np
from rich.progress import track

from benchmarks.footage import make_clip
from benchmarks.loads import add_options, setting_of
from benchmarks.measure import RESULTS, Spread, print_machine, this_machine, time_ms, write_results
from pylfr import ops
from pylfr._internal.atomic_file import write_result
from pylfr.evaluation.plots import blank_figure, figure_png
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.faces.embed import FaceEmbedder, open_embedder
from pylfr.faces.quality import measure_quality
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.sizing.decode_floor import decode_floor
from pylfr.sizing.load import Setting, run_load
from pylfr.sizing.synthetic import random_templates
from pylfr.types import FrameBatch
from pylfr.video.open import open_file
from tests.samples import faces_at, sample_frame

FACES = (0, 1, 3, 10, 30, 100)
WATCHLISTS = (1_000, 10_000, 100_000, 1_000_000)
TRACKS = (0, 10, 50, 100, 200)
_REPEATS = 9
_PLANNED = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place on a curve; ``share`` and the drops only where cameras were played."""

    at: float
    ms: Spread
    dropped: int = 0
    looked_at_share: float = 1.0
    p99_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How ``what`` costs as ``over`` grows: ``slope`` milliseconds for one more, and what that means."""

    what: str
    over: str
    points: list[Point]
    slope: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """All curves, and the plan for ten million references from the bytes that a search has to read."""

    curves: list[Curve]
    gigabytes_a_second: float
    planned_size: int
    planned_gigabytes: float
    planned_search_ms: float


def over_cameras(setting: Setting, counts: Sequence[int], probe_s: float) -> Curve:
    """Latency and drops as cameras are added, beyond what fits."""
    floor_ms = decode_floor(setting.video)
    points = []
    for count in track(counts, description="cameras"):
        load = run_load(setting, count, seconds=probe_s, decode_floor_ms=floor_ms)
        seen = load.seen
        points.append(
            Point(
                at=count,
                ms=Spread(median=seen.p50_ms, min=0.0, max=seen.max_ms, repeats=seen.count, warmup=0),
                dropped=sum(load.dropped.values()),
                looked_at_share=load.looked_at / max(1.0, count * setting.recognition.detect_hz * load.seconds),
                p99_ms=seen.p99_ms,
            )
        )
    return curve(
        "capture to analysed, played in real time", "cameras", points,
        "flat while everything fits; beyond that cameras are analysed less often, evenly, and skipped frames are "
        "counted. Where decoding itself cannot keep up latency grows without end: no rate of detection helps there.",
    )  # fmt: skip


def over_faces(detector: FaceDetector, embedder: FaceEmbedder) -> list[Curve]:
    """Detection, measuring and embedding as more faces stand in a frame."""
    found, quality, embedded = [], [], []
    for count in track(FACES, description="faces a frame"):
        source = open_file(
            make_clip(faces=count, seconds=2), camera="a", started_at=datetime.now(UTC), pace="as-fast-as-possible"
        )
        frames = tuple(islice(source.frames(), 5, 6))
        source.close()
        faces = detector.detect(frames)
        crops = embedder.align(frames, faces)
        found.append(Point(at=len(faces), ms=time_ms(partial(detector.detect, frames), repeats=_REPEATS)))
        quality.append(Point(at=len(faces), ms=time_ms(partial(measure_quality, frames, faces), repeats=_REPEATS)))
        repeats = 3 if len(faces) > 20 else _REPEATS
        embedded.append(Point(at=len(faces), ms=time_ms(partial(embedder.embed, crops), repeats=repeats, warmup=1)))
    return [
        curve("detect", "faces in the frame", found,
              "nearly flat: the network processes the same number of pixels whoever is in the picture."),
        curve("quality", "faces in the frame", quality, "a straight line: every face is sampled on the same grid."),
        curve("embed", "faces due at once", embedded,
              "a straight line: the network runs once for each face, so only the best few of a track are due."),
    ]  # fmt: skip


def over_watchlist(dimension: int) -> tuple[Curve, float]:
    """Exact search of four probes, and the bytes of templates that it reads in a second."""
    points = []
    rate = 0.0
    for size in track(WATCHLISTS, description="watchlist size"):
        references = random_templates(size, dimension)
        probes = references[:4].copy()
        points.append(Point(at=size, ms=time_ms(partial(ops.search_exact, probes, references, 5), repeats=5, warmup=1)))
        rate = references.nbytes / points[-1].ms.median / 1e6
    return curve(
        "search, 4 probes", "references", points,
        "a straight line: an exact search reads every reference once, so it ends at the speed of memory.",
    ), rate  # fmt: skip


def over_tracks() -> Curve:
    """Association as more tracks are alive in one camera."""
    points = []
    for count in track(TRACKS, description="tracks alive"):
        boxes = [[90.0 * (each % 20), 100.0 * (each // 20), 90.0 * (each % 20) + 60, 100.0 * (each // 20) + 70]
                 for each in range(count)]  # fmt: skip
        faces = faces_at(boxes)
        batch = FrameBatch(frames=(sample_frame(),))
        tracker = FaceTracker(TrackRules(high_score=0.6, low_score=0.3))
        points.append(Point(at=count, ms=time_ms(partial(tracker.associate, batch, faces), repeats=_REPEATS)))
    return curve(
        "track", "tracks alive", points,
        "grows faster than the number of tracks: every face is compared with every track of its camera; still far "
        "below one detection.",
    )  # fmt: skip


def curve(what: str, over: str, points: list[Point], words: str) -> Curve:
    """The curve with its slope, least squares through the medians; 0 for fewer than two points."""
    places = np.array([point.at for point in points])
    slope = 0.0
    if len(set(places.tolist())) > 1:
        slope = float(np.polyfit(places, [point.ms.median for point in points], 1)[0])
    return Curve(what=what, over=over, points=points, slope=slope, words=words)


def plot(curves: Sequence[Curve]) -> bytes:
    """Every curve relative to its last point, so that shapes can be compared: PNG."""
    figure, axes = blank_figure()
    for each in curves:
        highest, furthest = max(max(point.ms.median for point in each.points), 1e-9), each.points[-1].at or 1.0
        axes.plot(
            [point.at / furthest for point in each.points],
            [point.ms.median / highest for point in each.points],
            marker="o",
            label=f"{each.what}: to {furthest:,.0f} {each.over}, {highest:.3g} ms",
        )
    axes.set_xlabel("share of the largest size measured")
    axes.set_ylabel("share of the largest median")
    return figure_png(figure, axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="*", default=[1, 2, 4, 8, 12, 16, 24])
    parser.add_argument("--probe-s", type=float, default=8.0)
    add_options(parser)
    given = parser.parse_args()
    machine = this_machine()
    print_machine(machine)
    one_thread = (
        open_detector(given.detector, runtime=given.runtime, threads=1),
        open_embedder(given.embedder, runtime=given.runtime, threads=1),
    )
    search, rate = over_watchlist(one_thread[1].dimension)
    curves = [search, over_tracks(), *over_faces(*one_thread)]
    if given.cameras:
        curves.insert(0, over_cameras(setting_of(given), given.cameras, given.probe_s))
    planned = _PLANNED * one_thread[1].dimension * 4 / 1e9
    result = Curves(
        curves=curves, gigabytes_a_second=rate, planned_size=_PLANNED, planned_gigabytes=planned,
        planned_search_ms=1000 * planned / rate,
    )  # fmt: skip
    for each in curves:
        print(f"{each.what} over {each.over}: {each.slope:.4g} ms for one more; {each.words}")
        for point in each.points:
            beyond = f", p99 {point.p99_ms:.0f} ms, {point.dropped} dropped" if each.over == "cameras" else ""
            print(f"  {point.at:>12,.0f} {point.ms.median:10.3f} ms{beyond}")
    print(
        f"planned, not measured: {_PLANNED:,} references are {planned:.1f} GB and take "
        f"{result.planned_search_ms:.0f} ms a search of 4 probes at the {rate:.1f} GB/s of the largest measured"
    )
    write_result(RESULTS / "curves.png", plot(curves))
    print(f"written to {write_results('curves', machine, result)} and curves.png")


if __name__ == "__main__":
    main()
