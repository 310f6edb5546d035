"""Plays a recording to its end."""

from __future__ import annotations

from pathlib import Path

from pylfr.errors import MediaError
from pylfr.video.decoding.picture_options import PictureOptions
from pylfr.video.open import Isolation, open_file
from tests.samples import NOON
from tests.video.watches import RecordingWatch


def play(
    path: Path, options: PictureOptions, rate_hz: float | None, isolation: Isolation = "none"
) -> tuple[RecordingWatch, set[tuple[int, int]], int, str]:
    """What a recording tells its reader, the sizes of its frames, how many were due, and its error."""
    source = open_file(path, camera="gate", started_at=NOON, isolation=isolation, picture=options)
    watch, sizes, due, error = RecordingWatch(rate_hz), set(), 0, ""
    try:
        for frame in source.watched(watch):
            sizes.add((frame.width, frame.height))
            due += 1
    except MediaError as caught:
        error = str(caught)
    return watch, sizes, due, error
