"""One picture an alert, whole or not at all, with the words of a prompt and no percentage."""

from __future__ import annotations

import os
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


def test_names_of_people_and_of_cameras_never_lead_out_of_the_folder_and_no_file_name_holds_a_person(
    tmp_path: Path,
) -> None:
    sink = open_evidence(tmp_path / "evidence")
    alert = sample_alert(entry="Ada Lovelace", camera="../../etc/passwd\n")
    sink.send(Recorded(value=alert, sequence=1, recorded_at=datetime.now(UTC)))
    [path] = (tmp_path / "evidence").iterdir()
    assert read_image(path).shape == draw_evidence(sample_alert()).shape
    assert "Ada" not in path.name
    assert "Lovelace" not in path.name
    assert [each.name for each in tmp_path.iterdir()] == ["evidence"]


def test_pictures_and_their_folder_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        sink = open_evidence(tmp_path / "evidence")
        sink.send(recorded())
    finally:
        os.umask(before)
    [path] = (tmp_path / "evidence").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_name_with_line_breaks_does_not_draw_over_the_facts() -> None:
    plain, hostile = (
        draw_evidence(sample_alert(entry="A")),
        draw_evidence(sample_alert(entry="A" + "\n" * 3 + "X" * 40)),
    )
    assert np.array_equal(plain[-60:], hostile[-60:])


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
