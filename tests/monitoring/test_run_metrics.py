"""Histograms of a run: time goes to the stage that took it, and a batch without progress is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

from prometheus_client import CollectorRegistry

from pylfr.engine.observer import Comparison
from pylfr.governance.audit.audit import RehearsalAudit
from pylfr.monitoring.run_metrics import RunMetrics
from pylfr.types import Faces, FrameBatch, Tracks
from tests.samples import sample_alert

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTHING = object()


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def metrics(clock: Clock, *, dated: tuple[str, ...] = ("north",)) -> tuple[RunMetrics, CollectorRegistry]:
    registry = CollectorRegistry()
    return RunMetrics(registry, dated=dated, now=lambda: NOW, clock_s=clock), registry


def batch() -> FrameBatch:
    return FrameBatch(frames=())


def test_each_stage_is_given_its_own_time() -> None:
    clock = Clock()
    run, registry = metrics(clock)
    run.batch_taken(batch())
    clock.s += 3
    run.faces_found(batch(), cast(Faces, NOTHING))
    clock.s += 5
    run.recognition_began(batch())
    clock.s += 2
    run.faces_tracked(batch(), cast(Tracks, NOTHING))
    clock.s += 1
    run.faces_compared(cast(Comparison, NOTHING))
    run.batch_ended(batch())
    spent = {
        stage: registry.get_sample_value("pylfr_stage_seconds_sum", {"stage": stage})
        for stage in ("detect", "track", "compare")
    }
    assert spent == {"detect": 3.0, "track": 2.0, "compare": 1.0}


def test_a_batch_without_progress_is_stuck_and_an_engine_that_waits_for_frames_is_not() -> None:
    clock = Clock()
    run, _ = metrics(clock)
    clock.s += 100
    assert run.stuck_for_s() == 0
    run.batch_taken(batch())
    clock.s += 40
    assert run.stuck_for_s() == 40
    run.batch_ended(batch())
    clock.s += 100
    assert run.stuck_for_s() == 0


def test_the_latency_of_an_alert_is_that_of_cameras_dated_by_the_clock_alone() -> None:
    run, registry = metrics(Clock())
    for camera, age_s in (("north", 0.4), ("old recording", 86_400.0)):
        alert = replace(sample_alert(), camera=camera, captured_at=NOW - timedelta(seconds=age_s))
        run.alert_recorded(RehearsalAudit().record(alert))
    assert registry.get_sample_value("pylfr_capture_to_alert_seconds_count") == 1
    assert abs((registry.get_sample_value("pylfr_capture_to_alert_seconds_sum") or 0) - 0.4) < 1e-6
