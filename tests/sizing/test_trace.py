"""A timeline says of every frame what it waited for, in the format that Perfetto reads."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest

from pylfr.sizing.load import Load, Setting, decode_floor, run_load
from pylfr.sizing.trace import LoadTimeline
from pylfr.types import Faces, FrameBatch
from tests.samples import sample_frame


@pytest.fixture(scope="module")
def traced(setting: Setting) -> tuple[LoadTimeline, Load]:
    timeline = LoadTimeline()
    load = run_load(
        setting, 2, seconds=1.0, stagger_s=0.2, decode_floor_ms=decode_floor(setting.video), timeline=timeline
    )
    return timeline, load


def test_every_analysed_frame_has_its_decoding_its_wait_and_its_batch(traced: tuple[LoadTimeline, Load]) -> None:
    timeline, load = traced
    names = Counter((span.row == "engine", span.name) for span in timeline.spans)
    assert names[False, "decode"] >= names[False, "queue"] >= load.looked_at > 0
    assert {name for in_engine, name in names if in_engine} >= {"wait", "detect", "track", "select", "embed", "search"}
    assert sum(int(span.about["frames"]) for span in timeline.spans if span.name == "detect") == names[False, "queue"]
    assert all(span.until_s >= span.since_s for span in timeline.spans)


def test_the_engine_does_one_thing_at_a_time_but_for_searches_inside_embedding(
    traced: tuple[LoadTimeline, Load],
) -> None:
    stages = [span for span in traced[0].spans if span.row == "engine" and span.name != "search"]
    assert all(one.until_s <= other.since_s + 1e-6 for one, other in pairwise(stages))
    inside = [span for span in traced[0].spans if span.name == "search"]
    embeds = [span for span in stages if span.name == "embed"]
    assert all(any(e.since_s <= span.since_s and span.until_s <= e.until_s for e in embeds) for span in inside)


def test_the_file_is_chromes_trace_format_with_an_arrow_for_each_frame(traced: tuple[LoadTimeline, Load]) -> None:
    whole = json.loads(traced[0].to_json())
    events = whole["traceEvents"]
    rows = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert list(rows.values()) == ["engine", "camera-000", "camera-001"]
    spans = [event for event in events if event["ph"] == "X"]
    assert all(event["ts"] >= 0 and event["dur"] >= 0 and event["tid"] in rows for event in spans)
    begun = Counter(event["id"] for event in events if event["ph"] == "s")
    ended = Counter(event["id"] for event in events if event["ph"] == "f")
    assert begun == ended
    assert set(begun.values()) == {1}
    assert len(begun) == sum(event["name"] == "queue" for event in spans)
    assert whole["otherData"] == {"spans_left_out": 0}


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
