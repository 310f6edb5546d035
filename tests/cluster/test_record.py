"""Every alert is in the record once, whatever the sinks do with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pylfr.cluster.packed_alert import pack_alert, unpack_alert
from pylfr.cluster.record import ClusterRecord
from pylfr.governance.audit.audit import open_audit, read_audit
from pylfr.types import Alert, Recorded
from tests.cluster.table import alert_of


class Broken:
    """A sink with a mistake of its own."""

    def __init__(self) -> None:
        self.asked = 0

    def send(self, recorded: Recorded[Alert]) -> None:
        self.asked += 1
        raise ValueError("can't start new thread")

    def close(self) -> None:
        """Nothing is open."""


def test_an_alert_that_breaks_a_sink_is_recorded_once_and_counted_as_undelivered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink, log = Broken(), open_audit(tmp_path / "audit.log")
    record = ClusterRecord(log, [sink], cooldown_s=60.0)
    packed = pack_alert(alert_of("one", at=datetime.now(UTC)))
    for _ in range(2):
        assert record.take(packed, node="a") == "one"
    log.close()
    assert [each.kind for each in read_audit(tmp_path / "audit.log").entries] == ["alert"]
    assert (sink.asked, record.alerts, record.undelivered) == (1, 1, 1)
    assert "alert one is recorded and was not delivered" in caplog.text


def test_a_picture_without_pixels_is_no_picture() -> None:
    alert = alert_of("one", at=datetime.now(UTC))
    packed = pack_alert(replace(alert, crop=np.zeros((0, 4, 3), np.uint8)))
    with pytest.raises(ValueError, match="of at least one pixel"):
        unpack_alert(packed)
