"""Subject passes on video: the truth of who walked by, and what of it an engine found, missed and mistook."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from pylfr._internal.csv_table import read_csv
from pylfr._internal.printable import excerpt
from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import parse_object
from pylfr.errors import ConfigError
from pylfr.evaluation.statistics.rates import Rate, by_person

Box = tuple[float, float, float, float]
Timed = tuple[float, float, float, float, float]

# A little before and after its truth, a pass still owns what is seen of it.
_SLACK_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectPass:
    """One person's walk through one camera, seconds from the recording's first frame.

    ``path`` gives the face's box at times: (second, x1, y1, x2, y2) in pixels; empty where nobody wrote it down.
    """

    camera: str
    subject: str
    is_mated: bool
    starts_s: float
    ends_s: float
    path: tuple[Timed, ...] = ()

    def overlap(self, at_s: float, box: Box) -> float:
        """How much of ``box`` and of the face there then is shared (IoU); 1 without a path, 0 at another time."""
        if not self.starts_s - _SLACK_S <= at_s <= self.ends_s + _SLACK_S:
            return 0.0
        if not self.path:
            return 1.0
        place = min(range(len(self.path)), key=lambda index: abs(self.path[index][0] - at_s))
        _, x1, y1, x2, y2 = self.path[place]
        width = min(x2, box[2]) - max(x1, box[0])
        height = min(y2, box[3]) - max(y1, box[1])
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / ((x2 - x1) * (y2 - y1) + (box[2] - box[0]) * (box[3] - box[1]) - shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One face that the engine compared: where, how good, and its candidates as (name, score), best first.

    ``quality`` is pylfr's own score, 0 to 100, beside what it is made of: pixels between the eyes, sharpness,
    brightness from 0 to 1, and the greater of yaw and pitch in degrees.
    """

    camera: str
    track_id: int
    at_s: float
    box: Box
    quality: float
    interocular_px: float
    sharpness: float
    brightness: float
    turn_deg: float
    candidates: tuple[tuple[str, float], ...]
    is_full: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One alert: the entry's name, and the face that it was raised on."""

    camera: str
    track_id: int
    at_s: float
    box: Box
    entry: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """A track's highest fused score and whose it was; None where too few of its faces were compared."""

    camera: str
    track_id: int
    score: float | None
    entry: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRates:
    """What the engine made of the passes.

    A right person under a wrong name is a miss and a false alert. ``fragmentation`` is compared tracks a pass that
    was seen, ``time_to_alert_s`` the median from the start of a pass to its first right alert, None where there is
    none; ``strays`` counts alerts that belong to no pass, ``unseen`` passes without a compared face.
    """

    tpir: Rate
    fnir: Rate
    fpir: Rate
    fpir_by_track: Rate
    false_alerts_per_1000_faces: float | None
    false_alerts: int
    alerts: int
    strays: int
    fragmentation: float | None
    time_to_alert_s: float | None
    unseen: int


def score_passes(truth: Sequence[SubjectPass], compared: Sequence[Compared], raised: Sequence[Raised]) -> PassRates:
    """Score alerts by pass: the intervals resample subjects. Faces of the denominator are compared tracks.

    An alert belongs to the pass whose face it was raised on, or else to that of most faces of its track.
    """
    owner, owner_of = own_tracks(truth, compared), own_faces(truth)
    right: dict[int, float] = {}
    wrong: Counter[int] = Counter()
    wrong_tracks: set[tuple[str, int]] = set()
    strays = 0
    for alert in raised:
        index = owner_of(alert)
        if index < 0:
            index = owner.get((alert.camera, alert.track_id), -1)
        if index < 0:
            strays += 1
        if index >= 0 and truth[index].is_mated and truth[index].subject == alert.entry:
            right[index] = min(right.get(index, np.inf), alert.at_s - truth[index].starts_s)
        else:
            wrong[index] += 1
            wrong_tracks.add((alert.camera, alert.track_id))
    mated = [index for index, each in enumerate(truth) if each.is_mated]
    others = [index for index, each in enumerate(truth) if not each.is_mated]
    tpir = _by_subject(truth, mated, set(right))
    tracks_of = Counter(index for index in owner.values() if index >= 0)
    free = [key for key, index in owner.items() if index < 0 or not truth[index].is_mated]
    false = sum(wrong.values())
    hits = [int(key in wrong_tracks) for key in free]
    return PassRates(
        tpir=tpir,
        fnir=tpir.complement,
        fpir=_by_subject(truth, others, set(wrong)),
        fpir_by_track=by_person(hits, [1] * len(hits)),
        false_alerts_per_1000_faces=1000 * false / len(owner) if owner else None,
        false_alerts=false,
        alerts=len(raised),
        strays=strays,
        fragmentation=sum(tracks_of.values()) / len(tracks_of) if tracks_of else None,
        time_to_alert_s=float(np.median(list(right.values()))) if right else None,
        unseen=len(truth) - len(tracks_of),
    )


def own_faces(truth: Sequence[SubjectPass]) -> Callable[[Compared | Raised], int]:
    """What tells the pass that a face belongs to, by its number, or -1: that whose face lies there at that time."""
    by_camera: dict[str, list[int]] = defaultdict(list)
    for index, each in enumerate(truth):
        by_camera[each.camera].append(index)

    def owner_of(face: Compared | Raised) -> int:
        best = max(by_camera[face.camera], key=lambda index: truth[index].overlap(face.at_s, face.box), default=-1)
        # A detector's box and the truth's need not agree closely, only more than with anybody else's.
        known = best >= 0 and truth[best].overlap(face.at_s, face.box) > 0.1
        return best if known else -1

    return owner_of


def own_tracks(truth: Sequence[SubjectPass], compared: Iterable[Compared]) -> dict[tuple[str, int], int]:
    """The pass that most faces of each track belong to, by its number; -1 where they belong to none."""
    owner_of = own_faces(truth)
    votes: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    for face in compared:
        votes[face.camera, face.track_id][owner_of(face)] += 1
    return {key: vote.most_common(1)[0][0] for key, vote in votes.items()}


def write_truth(truth: Sequence[SubjectPass], path: Path) -> None:
    """The passes as JSON, which ``read_truth`` reads."""
    records = [
        {
            "camera": each.camera,
            "subject": each.subject,
            "mated": each.is_mated,
            "starts_s": each.starts_s,
            "ends_s": each.ends_s,
            "path": [list(point) for point in each.path],
        }
        for each in truth
    ]
    path.write_text(json.dumps({"passes": records}), encoding="utf-8")


def read_truth(path: Path, cameras: Iterable[str]) -> tuple[SubjectPass, ...]:
    """The passes of a truth file, JSON (``{"passes": [...]}``) or CSV, over these cameras.

    Each has camera, subject, mated, starts_s and ends_s, and in JSON a path. Raises ``ConfigError`` naming the pass
    that lacks something, names another camera, ends before it starts, or overlaps another of its camera without paths
    to tell them apart.
    """
    known = sorted(cameras)
    try:
        if path.suffix.lower() == ".csv":
            table = read_csv(path, ConfigError, what="truth")
            records: list[Mapping[str, object]] = [row.cells for row in table.rows]
        else:
            given = parse_object(read_file(path), "passes")["passes"]
            if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
                raise ValueError("passes must be a list of objects")
            records = [each for each in given if isinstance(each, dict)]
    except OSError as error:
        raise ConfigError(f"truth {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        said = excerpt(str(error))
        raise ConfigError(f'truth {path} must be CSV, or JSON of the form {{"passes": [...]}}: {said}') from error
    truth = tuple(_read_pass(path, number, record, known) for number, record in enumerate(records, start=1))
    if not truth:
        raise ConfigError(f"truth {path} names no pass at all")
    for camera in known:
        bare = sorted((each for each in truth if each.camera == camera), key=lambda each: each.starts_s)
        for one, other in pairwise(bare):
            if other.starts_s <= one.ends_s and not (one.path and other.path):
                raise ConfigError(
                    f"truth {path}: {one.subject} and {other.subject} are on {camera} together; to tell their faces "
                    "apart both need a path (JSON)"
                )
    return truth


def _read_pass(path: Path, number: int, record: Mapping[str, object], cameras: Sequence[str]) -> SubjectPass:
    try:
        points = record.get("path") or ()
        if not isinstance(points, list | tuple):
            raise TypeError("path")
        found = SubjectPass(
            camera=str(record["camera"]),
            subject=str(record["subject"]),
            is_mated=str(record["mated"]).strip().lower() in ("true", "1", "yes"),
            starts_s=float(str(record["starts_s"])),
            ends_s=float(str(record["ends_s"])),
            path=tuple((float(t), float(x1), float(y1), float(x2), float(y2)) for t, x1, y1, x2, y2 in points),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"truth {path}, pass {number}: camera, subject, mated, starts_s and ends_s must be filled in "
            f"({excerpt(str(error))})"
        ) from error
    if found.camera not in cameras:
        raise ConfigError(
            f"truth {path}, pass {number}: camera {excerpt(repr(found.camera))} is unknown, there are "
            f"{', '.join(cameras)}"
        )
    if not 0 <= found.starts_s <= found.ends_s:
        raise ConfigError(
            f"truth {path}, pass {number}: it must start at 0 s or later and end after, got {found.starts_s:g} to "
            f"{found.ends_s:g}"
        )
    return found


def _by_subject(truth: Sequence[SubjectPass], chosen: Sequence[int], hits: set[int]) -> Rate:
    subjects = sorted({truth[index].subject for index in chosen})
    place = {subject: number for number, subject in enumerate(subjects)}
    hit, tried = np.zeros(len(subjects)), np.zeros(len(subjects))
    for index in chosen:
        tried[place[truth[index].subject]] += 1
        hit[place[truth[index].subject]] += index in hits
    return by_person(hit, tried)
