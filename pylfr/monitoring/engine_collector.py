"""The account of a running engine, as Prometheus asks for it: counted by the engine, read when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pylfr.engine.engine import Engine
from pylfr.engine.summary import Summary
from pylfr.video.batching.camera_queue import CameraCounts


class EngineCollector(Collector):
    """Gives the counts of one engine. Labels are cameras and causes: never a person."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        summary, cameras = self._engine.summary(), self._engine.cameras()
        running = self._engine.state == "running"
        yield _gauge("pylfr_engine_running", "1 while the engine runs", float(running))
        yield from _of_cameras(summary, cameras, running=running)
        dropped = {(cause,): count for cause, count in _faces_dropped(summary).items()}
        yield _by("pylfr_faces_dropped", "Faces that were not compared", dropped.items(), "cause")
        yield _count("pylfr_comparisons", "Probes compared with the watchlist", summary.recognised)
        yield _count("pylfr_alerts_suppressed", "Repeated alerts within the cool-down", summary.suppressed)
        yield _count("pylfr_alerts_undelivered", "Deliveries of alerts to a sink that failed", summary.undelivered)
        yield _count("pylfr_errors", "Errors that the account of the run names", len(summary.errors))
        yield _gauge("pylfr_watchlist_references", "References that are searched", summary.watchlist_size)
        yield _gauge(
            "pylfr_watchlist_revision", "Revision of the watchlist that is searched", summary.watchlist_revision
        )
        yield _gauge("pylfr_threshold_cosine", "Score from which there is an alert", summary.threshold)
        yield _gauge("pylfr_threshold_calibrated", "1 where a certificate backs it", float(summary.calibrated))
        dwell = GaugeMetricFamily(
            "pylfr_template_dwell_seconds", "How long probe templates existed", labels=["statistic"]
        )
        for name, value in (
            ("p50", summary.dwell_ms.p50),
            ("p99", summary.dwell_ms.p99),
            ("max", summary.dwell_ms.max),
        ):
            dwell.add_metric([name], value / 1000)
        yield dwell
        yield _gauge(
            "pylfr_template_memory_locked",
            "1 where templates cannot be swapped out",
            float(summary.template_memory_locked),
        )


def _of_cameras(summary: Summary, cameras: Mapping[str, CameraCounts], *, running: bool) -> Iterator[Metric]:
    up = {(name,): float(running and each.state == "running") for name, each in cameras.items()}
    yield _by("pylfr_camera_up", "1 while the camera sends pictures", up.items(), "camera", kind=GaugeMetricFamily)
    last = {(name,): each.last_frame_at.timestamp() for name, each in cameras.items() if each.last_frame_at is not None}
    yield _by(
        "pylfr_camera_last_frame_timestamp_seconds", "Capture time of the last frame", last.items(), "camera",
        kind=GaugeMetricFamily,
    )  # fmt: skip
    counted = {
        "pylfr_frames": ("Frames that came", {name: each.frames for name, each in summary.cameras.items()}),
        "pylfr_frames_analysed": (
            "Frames that were analysed", {name: each.detected_frames for name, each in summary.cameras.items()}
        ),
        "pylfr_faces": ("Detections", {name: each.faces for name, each in summary.cameras.items()}),
        "pylfr_tracks": ("Tracks that have ended", {name: each.tracks for name, each in summary.cameras.items()}),
        "pylfr_alerts": ("Possible matches", {name: each.alerts for name, each in summary.cameras.items()}),
    }  # fmt: skip
    for name, (words, counts) in counted.items():
        yield _by(name, words, [((camera,), float(count)) for camera, count in counts.items()], "camera")
    dropped = {
        (name, cause): float(count) for name, each in summary.cameras.items() for cause, count in each.dropped.items()
    }
    yield _by("pylfr_frames_dropped", "Frames that were due and not analysed", dropped.items(), "camera", "cause")


def _faces_dropped(summary: Summary) -> dict[str, float]:
    """What was dropped of faces by cause: the account of the run without that of its cameras, which is of frames."""
    of_frames: dict[str, int] = {}
    for camera in summary.cameras.values():
        for cause, count in camera.dropped.items():
            of_frames[cause] = of_frames.get(cause, 0) + count
    left = {cause: count - of_frames.get(cause, 0) for cause, count in summary.dropped.items()}
    return {cause: float(count) for cause, count in left.items() if count > 0}


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _count(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(name, words, value=value)


def _by(
    name: str,
    words: str,
    values: Iterable[tuple[tuple[str, ...], float]],
    *labels: str,
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily] = CounterMetricFamily,
) -> Metric:
    family = kind(name, words, labels=labels)
    for of, value in sorted(values):
        family.add_metric(of, value)
    return family
