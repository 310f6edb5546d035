"""Tracking as the field measures it, beside ByteTrack and OC-SORT on the same detections: IDF1, HOTA, switches.

    python -m benchmarks.tracking FOLDER [--name test]

FOLDER is what `benchmarks.recall record` wrote. Every tracker is given the same detections of the same frames, 8 a
second. The public ones run with their own defaults and with pylfr's thresholds and track age; both rows are shown.
Needs the group `tracking` (trackers, trackeval). Two figures are pylfr's own: tracks that held two people for two
frames or more, and how many of these hold two people between two faces that are marked as uncertain.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker, OCSORTTracker
from trackeval.metrics import CLEAR, HOTA, Identity

from benchmarks.measure import print_machine, this_machine, write_results
from benchmarks.recorded import Recording, read_passes, read_recording
from benchmarks.replayed import overlap, owners
from pylfr.engine.build import HIGH_SCORE_SHARE, LOW_SCORE_SHARE
from pylfr.evaluation.crowd.walk import RATE
from pylfr.evaluation.video.passes import SubjectPass
from pylfr.faces.quality import measure_quality
from pylfr.faces.track import FaceTracker, TrackRules
from pylfr.types import FrameBatch, Int64

HZ = 8.0
_LEAST_HELD = 2

# A frame and the rows of its faces to their ids, -1 for none, and which are uncertain.
Follow = Callable[[FrameBatch, Int64], tuple[Int64, np.ndarray]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingResult:
    """One tracker on one recording. Shares in per cent; ``ms_a_frame`` of processor time for association alone."""

    tracker: str
    detections: str
    idf1: float
    hota: float
    association: float
    switches: int
    fragments: int
    tracks: int
    impure: int
    impure_between_doubts: int
    ms_a_frame: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Every tracker on the detections of each pair of networks."""

    crowd: str
    trackers: tuple[TrackingResult, ...]


def of_pylfr(recording: Recording) -> Follow:
    rules = TrackRules(
        high_score=recording.high_score * HIGH_SCORE_SHARE, low_score=recording.high_score * LOW_SCORE_SHARE
    )
    tracker = FaceTracker(rules)

    def follow(batch: FrameBatch, rows: Int64) -> tuple[Int64, np.ndarray]:
        faces = recording.faces(rows)
        return tracker.associate(batch, faces, measure_quality(batch.frames, faces))

    return follow


def of_public(make: Callable[[], ByteTrackTracker | OCSORTTracker], recording: Recording) -> Follow:
    """A tracker for each camera, as these have no notion of several."""
    of_camera: dict[str, ByteTrackTracker | OCSORTTracker] = defaultdict(make)

    def follow(batch: FrameBatch, rows: Int64) -> tuple[Int64, np.ndarray]:
        detections = sv.Detections(
            xyxy=recording.boxes[rows].astype(np.float64), confidence=recording.scores[rows].astype(np.float64),
            class_id=np.zeros(len(rows), int), data={"row": np.arange(len(rows))},
        )  # fmt: skip
        given = of_camera[batch.frames[0].camera].update(detections)
        ids = np.full(len(rows), -1, np.int64)
        if len(given) and given.tracker_id is not None:
            ids[given.data["row"]] = given.tracker_id
        return ids, np.zeros(len(rows), bool)

    return follow


def contenders(recording: Recording) -> dict[str, Callable[[], Follow]]:
    high = recording.high_score * HIGH_SCORE_SHARE
    rate = RATE / 3
    alike = {"lost_track_buffer": round(rate), "frame_rate": rate, "minimum_consecutive_frames": 1}

    def byte_track() -> ByteTrackTracker:
        return ByteTrackTracker(
            track_activation_threshold=high, high_conf_det_threshold=high, minimum_iou_threshold=0.1, **alike
        )

    def oc_sort() -> OCSORTTracker:
        return OCSORTTracker(high_conf_det_threshold=high, **alike)

    return {
        "pylfr": lambda: of_pylfr(recording),
        "ByteTrack, defaults": lambda: of_public(lambda: ByteTrackTracker(frame_rate=rate), recording),
        "ByteTrack, pylfr's thresholds": lambda: of_public(byte_track, recording),
        "OC-SORT, defaults": lambda: of_public(lambda: OCSORTTracker(frame_rate=rate), recording),
        "OC-SORT, pylfr's thresholds": lambda: of_public(oc_sort, recording),
    }


def measure(
    name: str, follow: Follow, recording: Recording, truth: Sequence[SubjectPass], owner: Int64, detections: str
) -> TrackingResult:
    at: dict[tuple[str, int], list[tuple[int, tuple[float, ...]]]] = defaultdict(list)
    for index, each in enumerate(truth):
        for at_s, *box in each.path:
            at[each.camera, round(at_s * RATE)].append((index, tuple(box)))
    steps: dict[str, list[tuple[list[int], np.ndarray, np.ndarray]]] = defaultdict(list)
    held: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    parts: dict[tuple[str, int, int], Counter[int]] = defaultdict(Counter)
    part: Counter[tuple[str, int]] = Counter()
    spent = 0.0
    for batch, rows in recording.batches(hz=HZ):
        frame = batch.frames[0]
        began = time.process_time()
        ids, uncertain = follow(batch, rows)
        spent += time.process_time() - began
        for row, track_id, doubt in zip(rows.tolist(), ids.tolist(), uncertain.tolist(), strict=True):
            if track_id >= 0 and owner[row] >= 0:
                part[frame.camera, track_id] += bool(doubt)
                held[frame.camera, track_id][int(owner[row])] += 1
                parts[frame.camera, track_id, part[frame.camera, track_id]][int(owner[row])] += 1
        faces = at.get((frame.camera, round(_seconds(recording, frame.sequence) * RATE)), [])
        followed = rows[ids >= 0]
        similarity = np.array(
            [[overlap(box, recording.boxes[row]) for row in followed.tolist()] for _, box in faces]
        ).reshape(len(faces), len(followed))
        steps[frame.camera].append(([index for index, _ in faces], ids[ids >= 0], similarity))
    sequences = {camera: _sequence(each) for camera, each in steps.items()}
    frames = sum(len(each) for each in steps.values())
    scores = {}
    for metric in (HOTA(), Identity({"PRINT_CONFIG": False}), CLEAR({"PRINT_CONFIG": False})):
        scores[metric.get_name()] = metric.combine_sequences(
            {camera: metric.eval_sequence(each) for camera, each in sequences.items()}
        )
    return TrackingResult(
        tracker=name,
        detections=detections,
        idf1=round(100 * float(scores["Identity"]["IDF1"]), 2),
        hota=round(100 * float(np.mean(scores["HOTA"]["HOTA"])), 2),
        association=round(100 * float(np.mean(scores["HOTA"]["AssA"])), 2),
        switches=int(scores["CLEAR"]["IDSW"]),
        fragments=int(scores["CLEAR"]["Frag"]),
        tracks=len(held),
        impure=sum(_is_impure(each) for each in held.values()),
        impure_between_doubts=sum(_is_impure(each) for each in parts.values()),
        ms_a_frame=round(1000 * spent / frames, 3),
    )


def _is_impure(people: Counter[int]) -> bool:
    return sum(count >= _LEAST_HELD for count in people.values()) > 1


def _seconds(recording: Recording, number: int) -> float:
    return float(recording.at_s[number])


def _sequence(steps: Sequence[tuple[list[int], np.ndarray, np.ndarray]]) -> dict[str, object]:
    """What TrackEval evaluates: ids counted from zero."""
    people = {each: place for place, each in enumerate(sorted({index for faces, _, _ in steps for index in faces}))}
    tracks = {each: place for place, each in enumerate(sorted({int(i) for _, ids, _ in steps for i in ids}))}
    return {
        "num_timesteps": len(steps),
        "num_gt_ids": len(people),
        "num_tracker_ids": len(tracks),
        "num_gt_dets": sum(len(faces) for faces, _, _ in steps),
        "num_tracker_dets": sum(len(ids) for _, ids, _ in steps),
        "gt_ids": [np.array([people[index] for index in faces], int) for faces, _, _ in steps],
        "tracker_ids": [np.array([tracks[int(each)] for each in ids], int) for _, ids, _ in steps],
        "similarity_scores": [similarity for _, _, similarity in steps],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="", help="the result is tracking-NAME.json; without it nothing is written")
    given = parser.parse_args()
    machine = this_machine(("pylfr", "numpy", "trackers", "trackeval", "supervision"))
    print_machine(machine)
    truth = read_passes(given.folder / "truth.json")
    results = []
    for path in sorted(given.folder.glob("*.npz")):
        recording = read_recording(path)
        owner = owners(recording, truth)
        for name, make in contenders(recording).items():
            result = measure(name, make(), recording, truth, owner, path.stem)
            results.append(result)
            print(f"| {result.detections} | {name} | {result.idf1} | {result.hota} | {result.association} | "
                  f"{result.switches} | {result.fragments} | {result.tracks} | {result.impure} | "
                  f"{result.impure_between_doubts} | {result.ms_a_frame} |", flush=True)  # fmt: skip
    if given.name:
        tracking = Tracking(crowd=given.name, trackers=tuple(results))
        print(f"written to {write_results(f'tracking-{given.name}', machine, tracking)}")


if __name__ == "__main__":
    main()
