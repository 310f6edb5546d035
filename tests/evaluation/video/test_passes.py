"""Pass-level scoring on a known truth: who owns a track, what is a miss, what is false; bad truth files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pylfr.errors import ConfigError
from pylfr.evaluation.video.passes import (
    Box,
    Compared,
    Raised,
    SubjectPass,
    own_tracks,
    read_truth,
    score_passes,
    write_truth,
)

LEFT: Box = (100, 100, 200, 200)
RIGHT: Box = (600, 100, 700, 200)


def _pass(subject: str, *, mated: bool, box: Box = LEFT, starts_s: float = 0.0, camera: str = "gate") -> SubjectPass:
    path = tuple((starts_s + step / 10, *box) for step in range(21))
    return SubjectPass(
        camera=camera, subject=subject, is_mated=mated, starts_s=starts_s, ends_s=starts_s + 2, path=path
    )


def _face(track: int, at_s: float, box: Box = LEFT, camera: str = "gate") -> Compared:
    return Compared(
        camera=camera, track_id=track, at_s=at_s, box=box, quality=50, interocular_px=20, sharpness=50,
        brightness=0.5, turn_deg=5, candidates=(), is_full=False,
    )  # fmt: skip


def _alert(track: int, at_s: float, entry: str, box: Box = LEFT, camera: str = "gate") -> Raised:
    return Raised(camera=camera, track_id=track, at_s=at_s, box=box, entry=entry, score=0.9)


def test_a_track_belongs_to_the_pass_whose_face_it_follows() -> None:
    truth = [_pass("Ada", mated=True), _pass("Bob", mated=False, box=RIGHT), _pass("Cyd", mated=False, starts_s=9)]
    owner = own_tracks(truth, [_face(1, 0.5), _face(2, 0.5, RIGHT), _face(3, 9.5), _face(4, 0.5, (900, 0, 950, 50))])
    assert owner == {("gate", 1): 0, ("gate", 2): 1, ("gate", 3): 2, ("gate", 4): -1}


def test_rates_count_passes_and_not_alerts() -> None:
    truth = [_pass("Ada", mated=True), _pass("Eve", mated=True, starts_s=5), _pass("Bob", mated=False, box=RIGHT)]
    faces = [_face(1, 0.5), _face(2, 1.5), _face(3, 5.5), _face(4, 0.5, RIGHT)]
    alerts = [
        _alert(1, 0.6, "Ada"),
        _alert(2, 1.6, "Ada"),
        _alert(4, 0.6, "Ada", RIGHT),
        _alert(4, 0.8, "Eve", RIGHT),
    ]
    rates = score_passes(truth, faces, alerts)
    assert (rates.tpir.numerator, rates.tpir.denominator) == (1, 2)
    assert (rates.fpir.numerator, rates.fpir.denominator) == (1, 1)
    assert rates.false_alerts == 2
    assert rates.alerts == 4
    assert rates.fragmentation == pytest.approx(4 / 3)
    assert rates.time_to_alert_s == pytest.approx(0.6)
    assert rates.false_alerts_per_1000_faces == pytest.approx(500)


def test_the_right_person_under_a_wrong_name_is_a_miss_and_a_false_alert() -> None:
    rates = score_passes([_pass("Ada", mated=True)], [_face(1, 0.5)], [_alert(1, 0.6, "Eve")])
    assert rates.fnir.value == 1
    assert rates.false_alerts == 1


def test_a_pass_that_nobody_saw_is_a_miss_and_counted_as_unseen() -> None:
    rates = score_passes([_pass("Ada", mated=True)], [], [])
    assert rates.fnir.numerator == 1
    assert rates.unseen == 1
    assert rates.fpir.value is None
    assert rates.false_alerts_per_1000_faces is None
    assert rates.fragmentation is None
    assert rates.time_to_alert_s is None


def test_an_alert_belongs_to_the_face_it_was_raised_on_also_where_the_track_was_mostly_somebody_else() -> None:
    truth = [_pass("Bob", mated=False), _pass("Ada", mated=True, starts_s=3)]
    faces = [_face(1, 0.5), _face(1, 1.0), _face(1, 1.5), _face(1, 4.0)]
    rates = score_passes(truth, faces, [_alert(1, 4.0, "Ada")])
    assert (rates.tpir.numerator, rates.false_alerts, rates.fpir.numerator) == (1, 0, 0)


def test_an_alert_of_nobody_is_a_stray_and_false() -> None:
    rates = score_passes([_pass("Ada", mated=True)], [_face(7, 8.0)], [_alert(7, 8.0, "Ada")])
    assert (rates.strays, rates.false_alerts, rates.tpir.numerator) == (1, 1, 0)


def test_truth_is_read_as_it_was_written(tmp_path: Path) -> None:
    truth = (_pass("Ada", mated=True), _pass("Bob", mated=False, box=RIGHT))
    write_truth(truth, tmp_path / "truth.json")
    assert read_truth(tmp_path / "truth.json", ["gate"]) == truth


def test_truth_may_be_a_table(tmp_path: Path) -> None:
    file = tmp_path / "truth.csv"
    file.write_text("camera,subject,mated,starts_s,ends_s\ngate,Ada,yes,0,2\ngate,Bob,no,3,5.5\n")
    truth = read_truth(file, ["gate"])
    assert [(each.subject, each.is_mated, each.ends_s) for each in truth] == [("Ada", True, 2), ("Bob", False, 5.5)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("door,Ada,yes,0,2", "pass 1: camera 'door' is unknown, there are gate"),
        ("gate,Ada,yes,4,2", "must start at 0 s or later and end after"),
        ("gate,Ada,yes,,2", "pass 1: camera, subject"),
        ("gate,Ada,yes,0,2\ngate,Bob,no,1,3", "together; to tell their faces apart"),
        ("", "names no pass"),
    ],
)
def test_a_truth_file_that_cannot_be_true_is_refused(tmp_path: Path, rows: str, said: str) -> None:
    file = tmp_path / "truth.csv"
    file.write_text(f"camera,subject,mated,starts_s,ends_s\n{rows}\n")
    with pytest.raises(ConfigError, match=said):
        read_truth(file, ["gate"])


def test_a_truth_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    for content in ("no json", json.dumps({"walks": []}), json.dumps([1])):
        file.write_text(content)
        with pytest.raises(ConfigError, match="must be CSV, or JSON"):
            read_truth(file, ["gate"])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_truth(tmp_path / "none.json", ["gate"])
