"""The program's log: a line is what it says it is, and says what it is about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from pylfr._internal.log_context import logged_as
from pylfr.monitoring.logs import start_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("pylfr")
    before = root.handlers[:], root.level, ours.level
    yield io.StringIO()
    root.handlers, root.level = before[0], before[1]
    ours.setLevel(before[2])


def test_a_line_of_json_has_its_level_and_what_it_is_about(stream: io.StringIO) -> None:
    start_logging("info", "json", stream=stream)
    log = logging.getLogger("pylfr.video")
    with logged_as(camera="north"), logged_as(request="1a2b"):
        log.warning("lost %d frames", 3)
    log.debug("not asked for")
    log.info("after")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first | {"at": ""} == {
        "at": "", "level": "warning", "logger": "pylfr.video", "message": "lost 3 frames", "camera": "north",
        "request": "1a2b",
    }  # fmt: skip
    assert "camera" not in second


def test_text_of_others_cannot_begin_a_line_of_its_own(stream: io.StringIO) -> None:
    start_logging("warning", "text", stream=stream)
    logging.getLogger("pylfr").warning("camera said %s", "x\n2026-01-01T00:00:00.000Z error forged")
    assert len(stream.getvalue().splitlines()) == 1
