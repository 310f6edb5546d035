"""A zone: what lies outside of it is never looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from pylfr import ops
from pylfr._internal.toml_model import record_from
from pylfr.deployment.sections.cameras import CameraSection, ZoneSection
from pylfr.deployment.signed_settings import camera_digest
from pylfr.errors import ConfigError, MediaError
from pylfr.faces.detect import open_detector
from pylfr.types import ColourMatrix, Frame, Layout, UInt8
from pylfr.video.batching.batcher import Batcher
from pylfr.video.open import open_file
from pylfr.video.sources.zone import Zone, ZonedSource
from tests.footage import BOTH, video
from tests.samples import NOON
from tests.video.clips import write_clip

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))


def frame_of(layout: Layout, width: int = 64, height: int = 48, *, matrix: ColourMatrix = "bt601") -> Frame:
    """A bright frame: every sample 200."""
    half = ((height + 1) // 2, (width + 1) // 2)
    shapes: dict[Layout, list[tuple[int, ...]]] = {
        "i420": [(height, width), half, half],
        "nv12": [(height, width), (*half, 2)],
        "rgb": [(height, width, 3)],
    }
    planes: tuple[UInt8, ...] = tuple(np.full(shape, 200, np.uint8) for shape in shapes[layout])
    for plane in planes:
        plane.flags.writeable = False
    return Frame(camera="c", sequence=0, captured_at=NOON, planes=planes, layout=layout, matrix=matrix)


@pytest.mark.parametrize("layout", ["i420", "nv12", "rgb"])
def test_a_rectangle_is_a_view_on_the_cameras_own_memory(layout: Layout) -> None:
    frame = frame_of(layout)
    seen = Zone(watch=LEFT_HALF).viewport(64, 48).of(frame)
    assert (seen.width, seen.height) == (32, 48)
    assert all(np.shares_memory(a, b) for a, b in zip(seen.planes, frame.planes, strict=True))
    assert Zone(watch=LEFT_HALF).viewport(64, 48).share == pytest.approx(0.5)


@pytest.mark.parametrize("layout", ["i420", "nv12", "rgb"])
def test_outside_a_polygon_every_pixel_is_black_and_the_cameras_memory_is_untouched(layout: Layout) -> None:
    frame = frame_of(layout)
    seen = Zone(watch=TRIANGLE).viewport(64, 48).of(frame)
    picture = ops.crop_rgb(seen, np.eye(2, 3, dtype=np.float32), width=64, height=48)
    inside, outside = picture[5:10, 5:10], picture[30:, 50:]
    assert inside.min() > 100
    assert outside.max() == 0
    assert all((plane == 200).all() for plane in frame.planes)


@pytest.mark.parametrize("size", [(63, 47), (64, 48), (65, 49), (1920, 1080)])
@pytest.mark.parametrize("layout", ["i420", "nv12", "rgb"])
def test_odd_pictures_and_odd_corners_make_whole_frames(size: tuple[int, int], layout: Layout) -> None:
    zone = Zone(
        watch=((0.13, 0.21), (0.97, 0.3), (1.0, 0.99), (0.2, 1.0)), ignore=(((0.4, 0.4), (0.6, 0.4), (0.5, 0.7)),)
    )
    viewport = zone.viewport(*size)
    seen = viewport.of(frame_of(layout, *size))
    assert viewport.keep is not None
    assert (seen.width, seen.height) == (viewport.right - viewport.left, viewport.bottom - viewport.top)
    assert 0 < viewport.share < 1


def test_an_ignored_polygon_is_black_inside_a_watched_whole() -> None:
    zone = Zone(ignore=(((0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.5, 1.0)),))
    seen = zone.viewport(64, 48).of(frame_of("rgb"))
    assert (seen.planes[0][25:, 33:] == 0).all()
    assert (seen.planes[0][:23, :31] == 200).all()


@pytest.mark.parametrize(
    ("watch", "words"),
    [
        (((0.0, 0.0), (1.0, 1.0)), "three corners"),
        (((0.0, 0.0), (1.0, 0.0), (1.0, 1080.0)), "shares of the picture"),
        (((0.0, 0.0), (1.0, 0.0), (1.0, float("nan"))), "shares of the picture"),
    ],
)
def test_what_is_no_polygon_is_refused(watch: tuple[tuple[float, float], ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Zone(watch=watch)
    with pytest.raises(ValueError, match=words):
        Zone(ignore=(watch,))


@pytest.mark.parametrize(
    "zone",
    [
        Zone(watch=((0.0, 0.0), (0.01, 0.0), (0.01, 0.01), (0.0, 0.01))),
        Zone(ignore=(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)),
    ],
)
def test_a_zone_that_leaves_nothing_to_watch_is_refused(zone: Zone) -> None:
    with pytest.raises(MediaError, match="to watch"):
        zone.viewport(640, 480)


class TurningCamera:
    """A plain source whose picture changes its size."""

    camera = "c"
    is_live = False

    def frames(self) -> Iterator[Frame]:
        yield frame_of("i420", 64, 48)
        yield replace(frame_of("i420", 128, 96), captured_at=NOON + timedelta(seconds=1))

    def close(self) -> None:
        pass


def test_a_zone_follows_a_camera_that_changes_its_size() -> None:
    sizes = [(frame.width, frame.height) for frame in ZonedSource(TurningCamera(), Zone(watch=LEFT_HALF)).frames()]
    assert sizes == [(32, 48), (64, 96)]


def test_a_zoned_recording_keeps_its_counts_and_its_rate(tmp_path: Path) -> None:
    source = open_file(write_clip(tmp_path / "clip.mp4", frames=30), camera="gate", started_at=NOON)
    with Batcher([ZonedSource(source, Zone(watch=LEFT_HALF))], size=4, wait_ms=5, detect_hz=5) as batches:
        widths = {frame.width for batch in batches for frame in batch.frames}
        counts = batches.counts()["gate"]
    assert widths == {32}
    assert (counts.came, counts.passed_on, counts.not_due) == (30, 15, 15)
    assert counts.error is None


def test_a_zone_too_small_for_the_picture_fails_the_camera_by_name(tmp_path: Path) -> None:
    source = open_file(write_clip(tmp_path / "clip.mp4"), camera="gate", started_at=NOON)
    narrow = Zone(watch=((0.0, 0.0), (0.1, 0.0), (0.1, 0.1), (0.0, 0.1)))
    with Batcher([ZonedSource(source, narrow)], size=4, wait_ms=5, detect_hz=None) as batches:
        assert list(batches) == []
        assert "to watch" in str(batches.counts()["gate"].error)


def test_on_real_footage_only_the_person_inside_the_zone_is_found(media_dir: Path, models_dir: Path) -> None:
    source = open_file(video(media_dir, BOTH), camera="c", started_at=NOON)
    frame = next(frame for frame in source.frames() if frame.sequence == 20)
    detector = open_detector("yunet_n", threads=1)
    woman, man = (box for box in sorted(detector.detect([frame]).boxes.tolist()))
    zone = Zone(watch=LEFT_HALF).viewport(frame.width, frame.height)
    (seen,) = detector.detect([zone.of(frame)]).boxes.tolist()
    assert seen == pytest.approx(woman, abs=0.15 * (woman[2] - woman[0]))
    # A slanted line between the two, so that the man is blanked and not cut away.
    right = (man[0] - 10) / frame.width
    slanted = Zone(watch=((0.0, 0.0), (right, 0.0), (right * 0.98, 1.0), (0.0, 1.0)))
    assert slanted.viewport(frame.width, frame.height).keep is not None
    assert len(detector.detect([slanted.viewport(frame.width, frame.height).of(frame)])) == 1


def test_the_whole_path_refuses_an_empty_polygon_in_a_deployment_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="three corners"):
        record_from(
            {"name": "a", "source": "a.mp4", "zone": {"watch": [[0.0, 0.0], [1.0, 1.0]]}},
            CameraSection,
            path=tmp_path / "deployment.toml",
            error_kind=ConfigError,
        )


def test_a_camera_with_another_zone_is_another_camera_to_an_authorisation() -> None:
    plain = CameraSection(name="a", source="a.mp4")
    zoned = CameraSection(name="a", source="a.mp4", zone=ZoneSection(watch=LEFT_HALF))
    unzoned = CameraSection(name="b", source="a.mp4", zone=None)
    assert len({camera_digest(each) for each in (plain, zoned, unzoned)}) == 2
