"""What a person says about a camera's pictures is done to them, in this process and in a confined one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from pylfr.video.decoding.picture_options import AS_SENT, PictureOptions
from pylfr.video.open import Isolation, open_file
from tests.samples import NOON

BLOCKY = PictureOptions(loop_filter=False)


@pytest.mark.parametrize(
    "options", [AS_SENT, BLOCKY, PictureOptions(stream=1, rotate=90, sample_aspect=Fraction(2, 1), rate_hz=12.5)]
)
def test_options_are_read_as_they_were_written(options: PictureOptions) -> None:
    assert PictureOptions.from_json(options.to_json()) == options


def test_options_of_a_time_without_this_choice_are_written_as_they_were_signed_then() -> None:
    assert PictureOptions(rotate=90).to_json() == (
        '{"stream": null, "rotate": 90, "sample_aspect": null, "rate_hz": null}'
    )


@pytest.fixture(scope="module", params=["libx264", "libx265"])
def coarse_clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moving scene, coded so coarsely that its blocks show."""
    path = tmp_path_factory.mktemp("clips") / f"{request.param}.mp4"
    draw = np.random.default_rng(0)
    scene = np.kron(draw.integers(0, 256, (9, 20, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(request.param, rate=10)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 192, 144, "yuv420p"
        stream.options = {"crf": "40", "preset": "fast"}
        for number in range(20):
            picture = np.ascontiguousarray(scene[:, 3 * number : 3 * number + 192])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("isolation", get_args(Isolation))
def test_without_the_loop_filter_the_same_frames_come_with_the_edges_of_their_blocks(
    coarse_clip: Path, isolation: Isolation
) -> None:
    smooth, blocky = (
        [
            (frame.captured_at, frame.planes[0].copy())
            for frame in open_file(
                coarse_clip, camera="north", started_at=NOON, isolation=isolation, picture=picture
            ).frames()
        ]
        for picture in (AS_SENT, BLOCKY)
    )
    assert [at for at, _ in smooth] == [at for at, _ in blocky]
    apart = [np.abs(one.astype(int) - other).mean() for (_, one), (_, other) in zip(smooth, blocky, strict=True)]
    assert 0.1 < max(apart) < 20
