"""Traces of batches: a real engine, OpenTelemetry's exporter into memory, and no word about a person."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed: pip install pylfr[tracing]")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pylfr.deployment.open import open_engine
from pylfr.engine.summary import Summary
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.monitoring.tracing import open_tracing, tracer_into
from pylfr.types import FrameBatch
from pylfr.video.decoding.image_io import read_image
from tests.deployment_text import PLAIN_LOG, REAL, deployment_text, permit_text
from tests.footage import MAN, save_references, video
from tests.service.stand import free_port

NAME = "Zacharias Unmistakable"


def traced(folder: Path, media: Path, *, share: float) -> tuple[tuple[ReadableSpan, ...], Summary]:
    """The spans of a run over the recording of a man who is on the list, and its account."""
    image = read_image(save_references(media, folder)["man"][0])
    detector, embedder = open_detector(REAL[0]), open_embedder(REAL[1])
    with create_watchlist(folder / "square.watchlist", embedder) as watchlist:
        watchlist.enrol(NAME, image, detector=detector, embedder=embedder)
    path = folder / "deployment.toml"
    text = deployment_text(permit_text(officer="Officer Nemo"), PLAIN_LOG, cameras={"north": video(media, MAN)})
    path.write_text(text)
    exporter = InMemorySpanExporter()
    tracer = tracer_into(SimpleSpanProcessor(exporter), share=share, deployment="Square")
    with open_engine(path, observers=(tracer,)) as engine:
        for _ in engine.run():
            pass
    return exporter.get_finished_spans(), engine.summary()


@pytest.mark.usefixtures("models_dir")
def test_every_batch_is_a_trace_of_its_stages_and_nobody_is_named(tmp_path: Path, media_dir: Path) -> None:
    spans, summary = traced(tmp_path, media_dir, share=1.0)
    batches = {each.context.trace_id: each for each in spans if each.name == "batch" and each.context is not None}

    def total(name: str) -> int:
        return sum(int(str((each.attributes or {})[f"pylfr.{name}"])) for each in batches.values())

    assert summary.alerts >= 1
    assert (total("frames"), total("compared"), total("alerts")) == (
        summary.detected_frames, summary.recognised, summary.alerts
    )  # fmt: skip
    stages = Counter(each.name for each in spans if each.name != "batch")
    assert stages["detect"] == stages["track"] == stages["select"] == len(batches)
    assert stages["record"] == summary.alerts
    for each in spans:
        assert each.context is not None
        assert each.start_time is not None
        assert each.end_time is not None
        batch = batches[each.context.trace_id]
        assert batch.start_time is not None
        assert batch.end_time is not None
        assert batch.start_time <= each.start_time <= each.end_time <= batch.end_time
    written = json.dumps([each.to_json() for each in spans])
    for word in (*NAME.split(), "Nemo", "north"):
        assert word not in written


def test_a_share_of_the_batches_is_traced() -> None:
    exporter = InMemorySpanExporter()
    tracer = tracer_into(SimpleSpanProcessor(exporter), share=0.1, deployment="Square")
    for _ in range(1000):
        batch = FrameBatch(frames=())
        tracer.batch_taken(batch)
        tracer.batch_ended(batch)
    assert 50 < len(exporter.get_finished_spans()) < 170


def test_a_collector_that_is_away_does_not_hold_up_the_end_of_a_run() -> None:
    tracer = open_tracing(f"http://127.0.0.1:{free_port()}/v1/traces", share=1.0, deployment="Square")
    batch = FrameBatch(frames=())
    tracer.batch_taken(batch)
    tracer.batch_ended(batch)
    tracer.run_ended()
