"""One picture an alert, whole or not at all, with the words of a prompt and no percentage."""

from __future__ import annotations

import resource
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import SinkError
from pylfr.sinks.evidence import draw_evidence, open_evidence
from pylfr.types import Alert, Recorded
from pylfr.video.decoding.image_io import read_image
from tests.samples import sample_alert


def recorded(entry: str = "Ada") -> Recorded[Alert]:
    return Recorded(value=sample_alert(entry=entry), sequence=1, recorded_at=datetime.now(UTC))


def test_probe_and_reference_stand_side_by_side() -> None:
    sheet = draw_evidence(sample_alert())
    assert (sheet[100, 100] == 128).all()
    assert (sheet[160, 450] == 200).all()
    assert not np.array_equal(sheet, draw_evidence(sample_alert(authorisation="0123456789abcdef")))


def test_a_name_that_is_no_file_name_stays_inside_the_folder(tmp_path: Path) -> None:
    sink = open_evidence(tmp_path / "evidence")
    sink.send(recorded("../../etc/passwd\n"))
    [path] = (tmp_path / "evidence").iterdir()
    assert read_image(path).shape == draw_evidence(sample_alert()).shape
    assert [each.name for each in tmp_path.iterdir()] == ["evidence"]


def test_a_full_disk_is_an_error_that_leaves_nothing_half_written(tmp_path: Path) -> None:
    sink = open_evidence(tmp_path / "evidence")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(SinkError, match="cannot be written"):
            sink.send(recorded())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "evidence").iterdir()) == []
    sink.send(recorded())
    assert len(list((tmp_path / "evidence").iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="file/evidence"):
        open_evidence(tmp_path / "file" / "evidence")
