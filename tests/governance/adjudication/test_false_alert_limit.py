"""A stream of false alerts trips the ceiling when chance no longer explains it, and not before."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.errors import AuthorisationError
from pylfr.governance.adjudication.database import open_records
from pylfr.governance.adjudication.false_alert_limit import FalseAlertCeiling, NoCeiling, lower_bound
from pylfr.governance.adjudication.review import Review
from tests.governance.reviews import ONE_PERSON, deploy, queue, signed_log, words_of


@pytest.mark.parametrize(
    ("count", "trials", "bound"),
    [
        (0, 10, 0.0),
        (0, 0, 0.0),
        (1, 1, 0.05),
        (1, 1000, 5.129e-5),
        (10, 10, 0.7411),
        (5, 100, 0.01991),
        (3, 50, 0.01655),
    ],
)
def test_the_bound_is_clopper_and_pearsons(count: int, trials: int, bound: float) -> None:
    assert lower_bound(count, trials) == pytest.approx(bound, rel=2e-3)


def test_more_than_all_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to trials"):
        lower_bound(2, 1)


def test_refuted_alerts_trip_the_limit_and_undecided_ones_do_not(tmp_path: Path) -> None:
    with closing(signed_log(tmp_path)) as audit, closing(open_records(f"sqlite:///{tmp_path / 'r.sqlite'}")) as records:
        review, reference = Review(records, audit), ONE_PERSON.reference
        since = datetime.now(UTC) - timedelta(seconds=1)
        limit = FalseAlertCeiling(
            audit, authorisation=reference, words=words_of(ONE_PERSON), since=since, ceiling=0.001, every_s=0
        )
        deploy(records, audit, ONE_PERSON)
        for number in range(12):
            queue(records, audit, id_=f"a{number}.", terms=ONE_PERSON)
        limit.require(1000)
        for number in range(12):
            review.adjudicate(f"a{number}.", by="Ann", verdict="different person")
            if number < 6:
                limit.require(3000)
                continue
            with pytest.raises(AuthorisationError, match="paused: 7 false alerts in 3000 faces"):
                limit.require(3000)
            break
        # 3 in 3,000 is the ceiling itself; chance gives 7 or more of 3,000 at that rate in 3.3 % of runs.
        later = FalseAlertCeiling(
            audit,
            authorisation=reference,
            words=words_of(ONE_PERSON),
            since=datetime.now(UTC),
            ceiling=0.001,
            every_s=0,
        )
        later.require(1)
        NoCeiling().require(0)
