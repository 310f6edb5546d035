"""Where the time of single batches goes, as OpenTelemetry traces. No attribute names or shows a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Span, set_span_in_context

from pylfr import __version__
from pylfr.engine.observer import Comparison, Observer
from pylfr.types import Alert, Faces, FrameBatch, Int64, Recorded, Tracks

# A collector that is away holds up the end of a run no longer.
_PATIENCE_S = 2.0


@dataclass(slots=True, kw_only=True, eq=False)
class _Traced:
    """One batch on its way: its span, the end of its last stage, and what was counted."""

    span: Span
    lap_ns: int
    compared: int = 0
    alerts: int = 0


class BatchTracer(Observer):
    """A span for each batch that is sampled, and in it one for each stage.

    Attributes are counts: frames, faces, faces compared, alerts. Made by ``open_tracing``.
    """

    def __init__(self, provider: TracerProvider, *, clock_ns: Callable[[], int] = time_ns) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("pylfr", __version__)
        self._clock_ns = clock_ns
        # By the batch: on another thread the next one is taken and detected while the last is compared.
        self._open: dict[int, _Traced] = {}
        self._compared: _Traced | None = None

    def batch_taken(self, batch: FrameBatch) -> None:
        now_ns = self._clock_ns()
        span = self._tracer.start_span("batch", start_time=now_ns)
        span.set_attribute("pylfr.frames", len(batch.frames))
        span.set_attribute("pylfr.cameras", len(batch.cameras))
        self._open[id(batch)] = _Traced(span=span, lap_ns=now_ns)

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:
        traced = self._open[id(batch)]
        traced.span.set_attribute("pylfr.faces", len(faces))
        self._lap(traced, "detect")

    def recognition_began(self, batch: FrameBatch) -> None:
        self._compared = self._open[id(batch)]
        self._lap(self._compared, "wait")

    def faces_tracked(self, batch: FrameBatch, tracks: Tracks) -> None:  # noqa: ARG002
        self._lap(self._compared, "track")

    def faces_selected(self, batch: FrameBatch, tracks: Tracks, rows: Int64) -> None:  # noqa: ARG002
        self._lap(self._compared, "select")

    def faces_compared(self, comparison: Comparison) -> None:
        if self._compared is not None:
            self._compared.compared += len(comparison.rows)
        self._lap(self._compared, "compare")

    def alert_recorded(self, recorded: Recorded[Alert]) -> None:  # noqa: ARG002
        if self._compared is not None:
            self._compared.alerts += 1
        self._lap(self._compared, "record")

    def batch_ended(self, batch: FrameBatch) -> None:
        traced = self._open.pop(id(batch))
        traced.span.set_attribute("pylfr.compared", traced.compared)
        traced.span.set_attribute("pylfr.alerts", traced.alerts)
        traced.span.end(self._clock_ns())
        self._compared = None

    def run_ended(self) -> None:
        """What was not sent yet is sent, for a bounded time; spans that are lost are no loss of the record."""
        for traced in self._open.values():
            traced.span.end(self._clock_ns())
        self._open.clear()
        self._provider.shutdown()

    def _lap(self, traced: _Traced | None, stage: str) -> None:
        if traced is None:
            return
        now_ns = self._clock_ns()
        if traced.span.is_recording():
            within = set_span_in_context(traced.span)
            self._tracer.start_span(stage, context=within, start_time=traced.lap_ns).end(now_ns)
        traced.lap_ns = now_ns


def open_tracing(endpoint: str, *, share: float, deployment: str) -> BatchTracer:
    """Traces of a ``share`` of all batches, sent to ``endpoint`` (OTLP over HTTP) by a thread of their own."""
    return tracer_into(
        BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=_PATIENCE_S)), share=share, deployment=deployment
    )


def tracer_into(processor: SpanProcessor, *, share: float, deployment: str) -> BatchTracer:
    """As ``open_tracing``, with whatever takes the spans. Nothing in the environment changes what is sent."""
    resource = Resource({"service.name": "pylfr", "service.version": __version__, "pylfr.deployment": deployment})
    # One that is not the process's own: whatever else is traced there is not pylfr's to send.
    provider = TracerProvider(sampler=TraceIdRatioBased(share), resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return BatchTracer(provider)
