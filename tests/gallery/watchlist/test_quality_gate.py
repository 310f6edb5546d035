from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pylfr.gallery.watchlist.quality_gate import BlockStructure, EnrolmentGate, NearestEntry, ReferenceQuality
from pylfr.types import UInt8

GOOD = ReferenceQuality(sharpness=500, interocular_px=60, yaw=0, pitch=-5, roll=3, brightness=0.5, contrast=0.2)


def test_a_good_image_has_no_reasons_against_it() -> None:
    assert EnrolmentGate().check([GOOD], None) == ()
    assert EnrolmentGate().check([GOOD], NearestEntry(name="Ada", score=0.3)) == ()


@pytest.mark.parametrize(
    ("face", "said"),
    [
        (replace(GOOD, interocular_px=10), "too small: 10 px between the eyes, at least 24"),
        (replace(GOOD, sharpness=3), "blurred: sharpness 3.0, at least 40"),
        (replace(GOOD, yaw=-60), "yaw -60 degrees, at most 40"),
        (replace(GOOD, pitch=50), "pitch 50 degrees, at most 35"),
        (replace(GOOD, brightness=0.02), "too dark: brightness 0.02, at least 0.1"),
        (replace(GOOD, brightness=0.97), "too bright: brightness 0.97, at most 0.92"),
        (replace(GOOD, contrast=0.01), "flat: contrast 0.010, at least 0.05"),
    ],
)
def test_each_fault_is_a_reason_with_its_number_and_its_limit(face: ReferenceQuality, said: str) -> None:
    (reason,) = EnrolmentGate().check([face], None)
    assert said in reason


def test_all_reasons_are_given_at_once() -> None:
    poor = replace(GOOD, interocular_px=10, sharpness=1, yaw=70)
    assert len(EnrolmentGate().check([poor], NearestEntry(name="Ada", score=0.8))) == 4


def test_no_face_and_several_faces_are_reasons() -> None:
    assert "no face was found" in EnrolmentGate().check([], None)[0]
    assert EnrolmentGate().check([GOOD, GOOD], None)[0].startswith("2 faces were found")


def test_a_duplicate_is_named_with_its_score() -> None:
    (reason,) = EnrolmentGate().check([GOOD], NearestEntry(name="Ada", score=0.5))
    assert "'Ada': comparison score 0.500" in reason


def test_the_gate_of_rehearsals_asks_for_one_face_only() -> None:
    gate = EnrolmentGate.one_face()
    awful = replace(GOOD, interocular_px=5, sharpness=0, yaw=89, brightness=0, contrast=0)
    assert gate.check([awful], NearestEntry(name="Ada", score=1.0)) == ()
    assert gate.check([], None)
    assert gate.check([GOOD, GOOD], None)


def test_quality_comes_from_a_row_of_the_core() -> None:
    quality = ReferenceQuality.of(np.array([1, 2, 3, 4, 5, 6, 7], np.float32))
    assert (quality.sharpness, quality.interocular_px, quality.contrast) == (1, 2, 7)


def enlarged(photograph: Image.Image, factor: int, resampling: Image.Resampling) -> UInt8:
    """The photograph made coarser by ``factor`` and enlarged again."""
    width, height = photograph.width // factor, photograph.height // factor
    small = photograph.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small.resize((width * factor, height * factor), resampling)).copy()


@pytest.fixture
def photograph(media_dir: Path) -> Image.Image:
    return Image.open(sorted((media_dir / "lfw").rglob("*.jpg"))[0]).convert("RGB")


BOX = np.array([64, 64, 192, 192], np.float32)


@pytest.mark.parametrize("factor", [3, 4, 5, 6, 8])
def test_repeated_pixels_are_measured_and_refused_as_blur(photograph: Image.Image, factor: int) -> None:
    blocks = BlockStructure.of(enlarged(photograph, factor, Image.Resampling.NEAREST), BOX)
    assert blocks.block_px == pytest.approx(factor, rel=0.8)
    assert blocks.block_px > 1.9
    (reason,) = EnrolmentGate().check([replace(GOOD, interocular_px=24.0, block_px=blocks.block_px)], None)
    assert "blurred: made of blocks of" in reason
    assert "px in truth lie between the eyes, at least 24" in reason


def test_repeated_pixels_of_a_large_picture_are_accepted() -> None:
    assert EnrolmentGate().check([replace(GOOD, interocular_px=120.0, block_px=2.0)], None) == ()


def test_photographs_and_smooth_enlargements_have_no_blocks(photograph: Image.Image) -> None:
    for picture in (np.asarray(photograph), enlarged(photograph, 4, Image.Resampling.BICUBIC)):
        blocks = BlockStructure.of(picture, BOX)
        assert blocks.block_px == 1
        assert blocks.compression < 2.4


def test_a_picture_that_is_little_but_jpeg_blocks_is_refused_as_blur(photograph: Image.Image) -> None:
    content = io.BytesIO()
    photograph.save(content, "JPEG", quality=4)
    blocks = BlockStructure.of(np.asarray(Image.open(content).convert("RGB")), BOX)
    (reason,) = EnrolmentGate().check([replace(GOOD, compression=blocks.compression)], None)
    assert "blurred: compressed so much" in reason


def test_a_flat_and_a_tiny_face_have_no_blocks() -> None:
    flat = np.full((256, 256, 3), 90, np.uint8)
    assert BlockStructure.of(flat, BOX) == BlockStructure(block_px=1, compression=1)
    assert BlockStructure.of(flat, np.array([0, 0, 5, 5], np.float32)) == BlockStructure(block_px=1, compression=1)
