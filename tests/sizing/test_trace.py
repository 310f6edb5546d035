"""A timeline says of every frame what it waited for, in the format that Perfetto reads."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import pairwise

import pytest

from pylfr.sizing.decode_floor import decode_floor
from pylfr.sizing.load import Setting, run_load
from pylfr.sizing.measured_load import Load
from pylfr.sizing.trace import LoadTimeline, Span, breakdown
from pylfr.types import Faces, FrameBatch
from tests.samples import sample_frame

STAGES = ("detection", "recognition")


@pytest.fixture(scope="module")
def traced(setting: Setting) -> tuple[LoadTimeline, Load]:
    timeline = LoadTimeline()
    load = run_load(
        setting, 2, seconds=1.0, stagger_s=0.2, decode_floor_ms=decode_floor(setting.video), timeline=timeline
    )
    return timeline, load


def test_every_analysed_frame_has_its_decoding_its_wait_and_its_batch(traced: tuple[LoadTimeline, Load]) -> None:
    timeline, load = traced
    names = Counter((span.row in STAGES, span.name) for span in timeline.spans)
    assert names[False, "decode"] >= names[False, "queue"] >= load.looked_at > 0
    assert {(span.row, span.name) for span in timeline.spans if span.row in STAGES} == {
        ("detection", "wait"),
        ("detection", "detect"),
        *(("recognition", name) for name in ("wait", "track", "select", "embed", "search", "decide")),
    }
    assert sum(int(span.about["frames"]) for span in timeline.spans if span.name == "detect") == names[False, "queue"]
    assert all(span.until_s >= span.since_s for span in timeline.spans)


def test_detection_and_recognition_do_one_thing_at_a_time_but_for_searches_inside_embedding(
    traced: tuple[LoadTimeline, Load],
) -> None:
    for row in STAGES:
        stages = [span for span in traced[0].spans if span.row == row and span.name != "search"]
        assert all(one.until_s <= other.since_s + 1e-6 for one, other in pairwise(stages))
    inside = [span for span in traced[0].spans if span.name == "search"]
    embeds = [span for span in stages if span.name == "embed"]
    assert all(any(e.since_s <= span.since_s and span.until_s <= e.until_s for e in embeds) for span in inside)


def test_the_file_is_chromes_trace_format_with_an_arrow_for_each_frame(traced: tuple[LoadTimeline, Load]) -> None:
    whole = json.loads(traced[0].to_json())
    events = whole["traceEvents"]
    rows = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert list(rows.values()) == [*STAGES, "camera-000", "camera-001"]
    spans = [event for event in events if event["ph"] == "X"]
    assert all(event["ts"] >= 0 and event["dur"] >= 0 and event["tid"] in rows for event in spans)
    begun = Counter(event["id"] for event in events if event["ph"] == "s")
    ended = Counter(event["id"] for event in events if event["ph"] == "f")
    assert begun == ended
    assert set(begun.values()) == {1}
    assert len(begun) == sum(event["name"] == "queue" for event in spans)
    assert whole["otherData"] == {"spans_left_out": 0}
    used = [event["args"] for event in events if event["ph"] == "C"]
    assert {kind for each in used for kind in each} == {"decode", "detection", "recognition", "networks", "Python"}
    assert sum(each["decode"] for each in used) > 0


def test_a_frame_that_a_newer_one_replaced_is_shown_as_that() -> None:
    timeline = LoadTimeline()
    timeline._decoded(sample_frame(second=0.0), 0.01)
    timeline._decoded(sample_frame(second=0.04), 0.01)
    timeline.batch_taken(FrameBatch(frames=(sample_frame(second=0.04),)))
    assert [span.name for span in timeline.spans] == ["decode", "decode", "wait", "replaced", "queue"]


def test_a_timeline_that_is_full_counts_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylfr.sizing.trace._MOST_EVENTS", 2)
    timeline = LoadTimeline()
    for _ in range(5):
        timeline.faces_found(FrameBatch(frames=(sample_frame(),)), Faces.none())
    assert (len(timeline.spans), timeline.left_out) == (2, 3)


def timeline_of(spans: list[Span]) -> LoadTimeline:
    timeline = LoadTimeline()
    for span in spans:
        timeline._note(span)
    return timeline


def test_the_latency_of_frames_is_divided_among_what_they_waited_for() -> None:
    def spans(batch: int, *, late_s: float) -> list[Span]:
        at = 10.0 * batch
        moments = {
            ("north", "decode"): (at, at + 0.01 + late_s),
            ("north", "queue"): (at + 0.01 + late_s, at + 0.03 + late_s),
            ("detection", "detect"): (at + 0.03 + late_s, at + 0.06 + late_s),
            ("recognition", "wait"): (at - 1, at + 0.1 + late_s),
            ("recognition", "track"): (at + 0.1 + late_s, at + 0.11 + late_s),
            ("recognition", "embed"): (at + 0.11 + late_s, at + 0.15 + late_s),
        }
        return [
            Span(row=row, name=name, since_s=since, until_s=until, about={"frame": batch, "batch": batch})
            for (row, name), (since, until) in moments.items()
        ]

    usual, late = breakdown(
        timeline_of([*spans(1, late_s=0), *spans(2, late_s=0), *spans(3, late_s=0.5)]), quantiles=(0.4, 0.99)
    )
    assert (usual.frames, usual.latency_ms, late.latency_ms) == (3, 150.0, 650.0)
    assert (usual.decode_ms, usual.queue_ms, usual.detect_ms) == (10.0, 20.0, 30.0)
    assert (usual.hand_over_ms, usual.recognise_ms) == (40.0, 50.0)
    assert late.decode_ms == 510.0
    assert breakdown(timeline_of(spans(1, late_s=0)[:3])) == ()
    assert math.isnan(usual.idle_cores)
