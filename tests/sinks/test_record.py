from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image

from pylfr.governance.audit.audit import RehearsalAudit
from pylfr.sinks.record import alert_json, timestamp
from pylfr.types import Alert, Recorded
from tests.samples import NOON, sample_alert


def recorded_alert(alert: Alert | None = None) -> Recorded[Alert]:
    return RehearsalAudit().record(alert or sample_alert())


def test_an_alert_says_everything_that_an_operator_needs() -> None:
    recorded = recorded_alert()
    assert json.loads(alert_json(recorded)) == {
        "type": "alert",
        "wording": "possible match",
        "id": "00000000-0000-4000-8000-000000000001",
        "camera": "north",
        "captured_at": "2026-01-11T12:00:00.000Z",
        "track": 7,
        "entry": "Ada",
        "score": 0.618,
        "threshold": 0.478,
        "calibrated": False,
        "box": [10.0, 20.0, 50.0, 70.0],
        "model": "ab" * 32,
        "watchlist_revision": 3,
        "authorisation": "rehearsal",
        "sequence": 1,
        "recorded_at": timestamp(recorded.recorded_at),
    }


def test_an_alert_is_one_line_whatever_its_names_hold() -> None:
    text = alert_json(recorded_alert(sample_alert(entry='Zoë "Z"\nNewline', camera="north\u2028gate")))
    assert len(text.split("\n")) == 1
    assert json.loads(text)["entry"] == 'Zoë "Z"\nNewline'


def test_a_picture_goes_along_only_where_it_was_asked_for() -> None:
    recorded = recorded_alert()
    assert "crop_jpeg" not in json.loads(alert_json(recorded))
    jpeg = base64.b64decode(json.loads(alert_json(recorded, pictures=True))["crop_jpeg"])
    picture = np.asarray(Image.open(io.BytesIO(jpeg)))
    assert picture.shape == recorded.value.crop.shape
    assert picture == pytest.approx(128, abs=3)


def test_times_of_any_zone_are_written_as_utc_with_milliseconds() -> None:
    there = datetime(2026, 1, 11, 14, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(there) == "2026-01-11T12:00:00.123Z"
    assert timestamp(NOON) == "2026-01-11T12:00:00.000Z"


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        alert_json(recorded_alert(replace(sample_alert(), score=float("nan"))))
