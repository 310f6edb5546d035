"""The engine whose networks do nothing: its loop tracks, compares and decides all the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.idle_stages import idle_engine
from pylfr.types import Frame
from pylfr.video.batching.batcher import Batcher


class Grey:
    """A recording of twenty grey pictures, 25 a second."""

    is_live = False

    def __init__(self, camera: str) -> None:
        self.camera = camera

    def frames(self) -> Iterator[Frame]:
        began = datetime.now(UTC)
        for number in range(20):
            yield Frame(
                camera=self.camera,
                sequence=number,
                captured_at=began + timedelta(seconds=0.04 * number),
                planes=(np.full((64, 64, 3), 99, np.uint8),),
                layout="rgb",
            )

    def close(self) -> None:
        pass


@pytest.mark.parametrize("faces", [0, 1])
def test_the_loop_does_its_work_where_networks_do_none(faces: int) -> None:
    with idle_engine(Batcher([Grey("north"), Grey("south")], detect_hz=None), faces_a_frame=faces) as engine:
        assert list(engine.run()) == []
        summary = engine.summary()
    assert (summary.frames, summary.faces, summary.recognised) == (40, 40 * faces, 40 * faces)
    assert summary.tracks == 2 * faces
    assert (summary.dropped, summary.errors) == ({}, ())
