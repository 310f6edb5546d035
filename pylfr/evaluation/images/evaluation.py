"""One evaluation of a pair of networks on a folder of people: everything that a report says, and its JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pylfr.evaluation.cohorts import CohortReport
from pylfr.evaluation.images.identification import HISTOGRAM_EDGES, Identification, OperatingPoint, identify
from pylfr.evaluation.images.people import PeopleTemplates
from pylfr.evaluation.images.verification import RocPoint, TenFold
from pylfr.evaluation.statistics.rates import Rate

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

# The target that the short form of a result is given at: one false alert in a hundred non-mated searches.
HEADLINE_FPIR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured, on what, and when. ``unreadable`` names every file that was skipped, with the reason."""

    detector: str
    embedder: str
    runtime: str
    detector_sha256: str
    embedder_sha256: str
    source: str
    people: int
    pictures: int
    unreadable: tuple[str, ...]
    fta: Rate
    verification: TenFold | None
    verification_missing: str
    roc: tuple[RocPoint, ...]
    identification: tuple[Identification, ...]
    cohorts: CohortReport | None
    seconds: float
    made_at: datetime

    @property
    def names_people(self) -> bool:
        """Whether it names files, whose names may be those of people: then its results are for their owner alone."""
        return bool(self.unreadable)

    @property
    def headline(self) -> OperatingPoint | None:
        """The first watchlist size at FPIR 1 %, or at the lowest target that the material supports."""
        for each in self.identification:
            near = [point for point in each.points if point.target_fpir >= HEADLINE_FPIR]
            if near:
                return min(near, key=lambda point: point.target_fpir)
        return None


def as_json(evaluation: Evaluation) -> str:
    """The evaluation as JSON: rates as ``{value, numerator, denominator, low, high, method}``, null where unknown.

    ``tpir``, ``fnir`` and ``fpir`` at the top are those of ``headline``; ``fmr`` and ``fnmr`` those of the last point
    of the ROC with an FMR of 1e-3 or more.
    """
    record: dict[str, Json] = {
        "type": "evaluation",
        "made_at": evaluation.made_at.astimezone(UTC).isoformat(timespec="seconds"),
        "detector": evaluation.detector,
        "detector_sha256": evaluation.detector_sha256,
        "embedder": evaluation.embedder,
        "embedder_sha256": evaluation.embedder_sha256,
        "runtime": evaluation.runtime,
        "source": evaluation.source,
        "people": evaluation.people,
        "pictures": evaluation.pictures,
        "unreadable": list(evaluation.unreadable),
        "seconds": round(evaluation.seconds, 1),
        "fta": _rate(evaluation.fta),
        **_headline(evaluation),
        "verification": _verification(evaluation),
        "identification": [_identification(each) for each in evaluation.identification],
        "cohorts": evaluation.cohorts.as_json() if evaluation.cohorts is not None else None,
    }
    return json.dumps(record, indent=1, allow_nan=False)


def as_csv(evaluation: Evaluation) -> str:
    """Every rate of the evaluation as a line: measure, watchlist size, target, threshold, the rate and its interval."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        ["measure", "watchlist_size", "target", "threshold", "value", "numerator", "denominator", "low", "high"]
    )
    writer.writerow(["fta", "", "", "", *_cells(evaluation.fta)])
    if evaluation.verification is not None:
        accuracy = evaluation.verification
        writer.writerow(["accuracy", "", "", accuracy.threshold, *_cells(accuracy.accuracy)])
    for pair in evaluation.roc:
        writer.writerow(["fmr", "", "", pair.threshold, *_cells(pair.fmr)])
        writer.writerow(["fnmr", "", "", pair.threshold, *_cells(pair.fnmr)])
    for each in evaluation.identification:
        for point in each.points:
            where = [each.watchlist_size, point.target_fpir, point.threshold]
            writer.writerow(["fpir", *where, *_cells(point.fpir)])
            writer.writerow(["tpir", *where, *_cells(point.tpir)])
            writer.writerow(["fnir", *where, *_cells(point.tpir.complement)])
    return text.getvalue()


def measure_identification(
    people: PeopleTemplates, sizes: Sequence[int], *, splits: int, seed: int = 0
) -> tuple[Identification, ...]:
    """Open-set identification at each size of watchlist."""
    return tuple(identify(people, size, splits=splits, seed=seed) for size in sizes)


def _rate(rate: Rate) -> dict[str, Json]:
    return dict(rate.as_json())


def _headline(evaluation: Evaluation) -> dict[str, Json]:
    point = evaluation.headline
    pair = next((each for each in reversed(evaluation.roc) if (each.fmr.value or 0) >= 0.99e-3), None)
    return {
        "tpir": _rate(point.tpir) if point else None,
        "fnir": _rate(point.tpir.complement) if point else None,
        "fpir": _rate(point.fpir) if point else None,
        "threshold": point.threshold if point else None,
        "fmr": _rate(pair.fmr) if pair else None,
        "fnmr": _rate(pair.fnmr) if pair else None,
    }


def _verification(evaluation: Evaluation) -> dict[str, Json]:
    result = evaluation.verification
    pairs: list[Json] = [
        {"threshold": each.threshold, "fmr": _rate(each.fmr), "fnmr": _rate(each.fnmr)} for each in evaluation.roc
    ]
    if result is None:
        return {"missing": evaluation.verification_missing, "roc": pairs}
    return {
        "accuracy": _rate(result.accuracy),
        "fold_deviation": result.fold_deviation,
        "threshold": result.threshold,
        "mated_pairs": result.mated_pairs,
        "non_mated_pairs": result.non_mated_pairs,
        "roc": pairs,
    }


def _identification(each: Identification) -> dict[str, Json]:
    points: list[Json] = [
        {
            "target_fpir": point.target_fpir,
            "threshold": {"value": point.threshold, "low": point.threshold_low, "high": point.threshold_high},
            "fpir": _rate(point.fpir),
            "tpir": _rate(point.tpir),
            "fnir": _rate(point.tpir.complement),
        }
        for point in each.points
    ]
    return {
        "watchlist_size": each.watchlist_size,
        "splits": each.splits,
        "mated_people": each.mated_people,
        "non_mated_people": each.non_mated_people,
        "mated_searches": each.mated_searches,
        "non_mated_searches": each.non_mated_searches,
        "operating_points": points,
        "unsupported": list(each.unsupported),
        "det": {
            "fpir": each.det.fpir.tolist(),
            "fnir": each.det.fnir.tolist(),
            "low": each.det.low.tolist(),
            "high": each.det.high.tolist(),
        },
        "rank_rate": each.rank_rate.tolist(),
        "histogram": {
            "edges": [round(float(edge), 2) for edge in HISTOGRAM_EDGES],
            "mated": each.mated.tolist(),
            "non_mated": each.non_mated.tolist(),
        },
    }


def _cells(rate: Rate) -> list[float | int | str]:
    value = "" if rate.value is None else rate.value
    return [value, rate.numerator, rate.denominator, rate.low, rate.high]
