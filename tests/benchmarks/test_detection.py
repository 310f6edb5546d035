"""The detection benchmark counts what it says it counts."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import Marks, TrueFace, overlaps, turned_box
from benchmarks.pairs import is_held_out
from pylfr.evaluation.crowd.crowd import plan_crowd
from pylfr.evaluation.crowd.planning import CrowdRules
from pylfr.evaluation.crowd.walk import Head, Turning, Walker


def face(x: float, *kinds: str, is_doubtful: bool = False) -> TrueFace:
    return TrueFace(box=(x, 0.0, x + 10.0, 10.0), kinds=frozenset(kinds), is_doubtful=is_doubtful)


def test_a_face_counts_once_a_double_is_false_and_a_doubtful_one_is_neither() -> None:
    marks = Marks()
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10], [80, 0, 90, 10]], float)
    marks.add(boxes, [0.9, 0.8, 0.7, 0.6], [face(0, "small"), face(50, is_doubtful=True), face(200, "small")])
    assert list(zip(marks.scores, marks.true, strict=True)) == [(0.9, True), (0.8, False), (0.6, False)]
    assert marks.found_at == [0.9, 0.0]
    thresholds, precisions, recalls = marks.curve()
    assert thresholds.tolist() == [0.9, 0.8, 0.6]
    assert precisions.tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    assert recalls.tolist() == [0.5, 0.5, 0.5]


def test_overlap_is_intersection_over_union() -> None:
    assert overlaps((0, 0, 10, 10), np.array([[5.0, 0, 15, 10], [20, 0, 30, 10]])) == pytest.approx([1 / 3, 0])


def test_the_box_of_a_turned_head_goes_with_it() -> None:
    head = Head(picture=np.full((64, 64, 3), 128, np.uint8), box=(0.25, 0.25, 0.75, 0.8))
    walker = Walker(subject="x", is_mated=False, heads=(head,))
    (walk,) = plan_crowd([walker], rules=CrowdRules()).plan.walks
    number = walk.leaves - 1
    assert turned_box(walk, number) == pytest.approx(walk.face(number))
    turned = replace(walk, turning=Turning(rest_deg=40.0))
    x1, y1, x2, y2 = turned_box(turned, number)
    was = walk.face(number)
    assert (y1, y2) == (was[1], was[3])
    assert x1 > was[0]
    assert x2 - x1 < was[2] - was[0]


def test_who_is_held_out_is_what_the_training_leaves_out() -> None:
    path = Path(__file__).parents[2] / "training" / "people.py"
    spec = importlib.util.spec_from_file_location("people_of_training", path)
    assert spec is not None
    assert spec.loader is not None
    people = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(people)
    names = [f"Person_{number}" for number in range(400)]
    assert [is_held_out(name) for name in names] == [people.is_held_out(name) for name in names]
    assert 60 < sum(map(is_held_out, names)) < 140
