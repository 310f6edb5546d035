from __future__ import annotations

from datetime import timedelta

import pytest

from pylfr._internal.duration import duration_text


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (6, "6 h"),
        (1.5, "1.5 h"),
        (24, "24 h"),
        (36, "36 h"),
        (48, "2 days"),
        (744, "31 days"),
        (745.5, "31 days 1.5 h"),
    ],
)
def test_two_days_and_more_are_said_in_days(hours: float, said: str) -> None:
    assert duration_text(timedelta(hours=hours)) == said
