"""The fusion benchmark: scores come back as they were kept, people are divided once, alerts are counted three ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fusion import SINGLE, _as_json, compare, divide, read_scores
from pylfr.evaluation.crowd.walk import Head
from pylfr.evaluation.video.passes import Compared, SubjectPass


def _crowd() -> tuple[list[SubjectPass], list[Compared]]:
    """Ten mated and a hundred non-mated people, three faces each; one of the latter resembles P0 in two faces."""
    truth, faces = [], []
    for number in range(110):
        start = 10.0 * number
        is_mated = number < 10
        truth.append(
            SubjectPass(camera="gate", subject=f"P{number}", is_mated=is_mated, starts_s=start, ends_s=start + 2)
        )
        for place in range(3):
            score = 0.8 if is_mated else 0.9 if number == 50 and place < 2 else 0.1 + number / 1000
            faces.append(
                Compared(
                    camera="gate", track_id=number, at_s=start + 0.3 * place, box=(0, 0, 50, 50), quality=50,
                    interocular_px=20, sharpness=0, brightness=0, turn_deg=0,
                    candidates=((f"P{number}" if is_mated else "P0", score),), is_full=False,
                )
            )  # fmt: skip
    return truth, faces


def test_scores_are_kept_without_names_and_come_back(tmp_path: Path) -> None:
    truth, faces = _crowd()
    number_of = {each.subject: place for place, each in enumerate(truth)}
    path = tmp_path / "scores.json"
    path.write_text(_as_json(truth, faces, number_of, "some_embedder"))
    assert "P50" not in path.read_text()
    embedder, again, compared = read_scores(path)
    assert (embedder, len(again), len(compared)) == ("some_embedder", 110, 330)
    assert compared[0].candidates == (("0", 0.8),)
    assert [each.is_mated for each in again] == [each.is_mated for each in truth]


def test_every_rule_keeps_the_target_and_alerts_are_counted_by_face_by_track_and_cooled() -> None:
    result = compare("some_embedder", *_crowd(), target_fpir=0.01)
    assert (result.mated, result.non_mated, result.false_passes_allowed) == (10, 100, 1)
    single = next(each for each in result.rules if each.rule == SINGLE)
    assert (single.found, single.tpir, single.over_single) == (10, 1.0, 0.0)
    assert 0.208 < single.threshold < 0.8
    # Thirty faces of mated people and two of the one who resembles P0, 500 s later: no cool-down reaches so far.
    assert (single.alerts_by_face, single.alerts_by_track, single.alerts_cooled) == (32, 11, 11)
    assert single.passes_alerting == 11
    assert single.seconds_to_alert == pytest.approx(0.0)


def test_people_are_divided_the_same_way_each_time_and_nobody_stands_on_two_sides() -> None:
    head = Head(picture=np.zeros((8, 8, 3), np.uint8), box=(0.2, 0.2, 0.8, 0.8))
    heads = {f"P{number}": (head,) * (2 if number < 710 else 1) for number in range(2000)}
    division = divide(heads)
    assert division == divide(heads)
    assert (len(division.walked), len(division.listed)) == (1500, 200)
    assert not division.walked & set(division.listed)
