"""Counts over tracks: enough of them or none, no edge with a single track, nothing but counts, and drift is seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pylfr.engine.alert_policy import EndedTrack
from pylfr.engine.observer import Comparison
from pylfr.engine.track_statistics import (
    LEAST_IN_BIN,
    LEAST_TRACKS,
    MEASURES,
    Provenance,
    TrackStatistics,
    coarse,
    read_aggregate,
)
from pylfr.errors import ConfigError
from pylfr.faces.track import TrackKey
from pylfr.types import Candidates, FrameBatch, Tracks
from tests.engine.test_engine import OnePerson
from tests.samples import faces_at, good_quality, sample_frame


class OfTwelve(OnePerson):
    """A gallery of twelve references."""

    def __len__(self) -> int:
        return 12


MADE = Provenance(detector="d1" * 32, embedder="e1" * 32, preprocessing="f1" * 32, threshold=0.5)


def walk_by(
    counter: TrackStatistics, tracks: range, *, second: float, camera: str = "north", score: float = 0.3
) -> None:
    """One compared face of each of these tracks, which then ends."""
    for number in tracks:
        seen = Tracks(
            faces=faces_at([[10, 10, 40, 40]]),
            track_id=np.array([number]),
            quality=good_quality(1, score=40.0 + number % 30),
        )
        batch = FrameBatch(frames=(sample_frame(camera=camera, second=second),))
        found = Candidates(scores=np.array([[score]], np.float32), entry=np.array([[4]]))
        counter.faces_compared(
            Comparison(batch=batch, tracks=seen, rows=np.array([0]), candidates=found, gallery=OfTwelve())
        )
        key = TrackKey(camera=camera, track_id=number)
        counter.tracks_ended([EndedTrack(key=key, best_score=score, best_entry=4, has_alerted=number == 1)])


def test_every_track_stands_in_each_histogram_once_and_alerts_apart(tmp_path: Path) -> None:
    counter = TrackStatistics(tmp_path / "counts", MADE)
    walk_by(counter, range(1, 61), second=0)
    counter.run_ended()
    [path] = (tmp_path / "counts").iterdir()
    found = read_aggregate(path)
    north = found.cameras["north"]
    assert (north.tracks, north.alerted, found.watchlist_size) == (60, 1, 12)
    assert {name: sum(counts) for name, counts in north.histograms.items()} == {
        **{each.name: 60 for each in MEASURES},
        "fused_score": 59,
        "face_score": 59,
    }
    assert (found.begins.minute, found.ends.minute, (found.ends - found.begins).seconds) == (0, 0, 3600)


def test_an_hour_of_too_few_waits_for_the_next_and_is_dropped_at_the_end(tmp_path: Path) -> None:
    counter = TrackStatistics(tmp_path, MADE)
    walk_by(counter, range(1, LEAST_TRACKS), second=0)
    walk_by(counter, range(100, 102), second=3600)
    walk_by(counter, range(200, 201), second=7200)
    assert [read_aggregate(path).cameras["north"].tracks for path in tmp_path.iterdir()] == [LEAST_TRACKS + 1]
    counter.run_ended()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_quiet_camera_is_left_out_beside_a_busy_one_and_a_second_run_overwrites_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        counter = TrackStatistics(tmp_path, MADE)
        walk_by(counter, range(1, 61), second=0)
        walk_by(counter, range(1, 10), second=0, camera="south")
        counter.run_ended()
    assert [set(read_aggregate(path).cameras) for path in tmp_path.iterdir()] == [{"north"}, {"north"}]


def test_nothing_is_written_of_nobody(tmp_path: Path) -> None:
    TrackStatistics(tmp_path / "counts", MADE).run_ended()
    assert not (tmp_path / "counts").exists()


def test_counts_hold_no_time_of_day_no_entry_and_no_order(tmp_path: Path) -> None:
    texts = []
    for order, second in ((range(1, 61), 5.0), (range(60, 0, -1), 65.0)):
        folder = tmp_path / str(second)
        counter = TrackStatistics(folder, MADE)
        walk_by(counter, order, second=second)
        counter.run_ended()
        [path] = folder.iterdir()
        texts.append(path.read_text())
    assert texts[0] == texts[1]
    record = json.loads(texts[0])
    assert record["cameras"]["north"].keys() == {"tracks", "alerted", "histograms"}


@pytest.mark.parametrize("counts", [[1, 0, 9, 9, 0, 2, 0], [1, 1, 1], [0, 0], [7], [0, 3, 0, 4, 0]])
def test_no_edge_of_a_histogram_holds_a_few_tracks_alone(counts: list[int]) -> None:
    found = coarse(counts)
    assert sum(found) == sum(counts)
    filled = [count for count in found if count]
    assert not filled or sum(counts) < LEAST_IN_BIN or min(filled[0], filled[-1]) >= LEAST_IN_BIN


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_aggregate(path)
    path.write_text("no json")
    with pytest.raises(ConfigError, match="must be JSON that a run has written"):
        read_aggregate(path)
    path.write_text("{}")
    with pytest.raises(ConfigError, match="embedder"):
        read_aggregate(path)
