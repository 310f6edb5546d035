from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pylfr.errors import EnrolmentError
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.gallery.watchlist.quality_gate import BlockStructure, EnrolmentGate, NearestEntry, ReferenceQuality, coarser
from pylfr.gallery.watchlist.watchlist import create_watchlist
from pylfr.types import Frame, UInt8

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


def test_what_is_another_face_without_its_finest_detail_is_refused_as_blur() -> None:
    (reason,) = EnrolmentGate().check([replace(GOOD, agreement=0.9)], None)
    assert "blurred: without its finest detail it is another face to the network (comparison score 0.90" in reason
    assert EnrolmentGate().check([replace(GOOD, agreement=0.93)], None) == ()
    assert EnrolmentGate.one_face().check([replace(GOOD, agreement=0.1)], None) == ()


def test_a_coarser_crop_keeps_its_light_and_loses_its_stripes() -> None:
    eyes = np.array([[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]], np.float32)
    flat = np.full((1, 3, 112, 112), 0.25, np.float32)
    assert np.allclose(coarser(flat, eyes), flat, atol=1e-5)
    stripes = np.tile(np.array([-1, 1], np.float32), (2, 3, 112, 56))
    assert np.abs(coarser(stripes, eyes)).max() < 0.3


@pytest.mark.parametrize(
    ("embedder", "least_refused"),
    # The shipped network was trained on pictures made coarser: templates of mosaics agree, and few are refused.
    [("face_reid_0095", 0.25), ("mobilefacenet_y1", 0.25), ("pylfr_nano_embed", 0.0)],
)
def test_the_gate_takes_photographs_and_refuses_mosaics(
    models_dir: Path, media_dir: Path, embedder: str, least_refused: float
) -> None:
    """Of 20 photographs of LFW; a mosaic of 4 pixels is what is left of a face 10 pixels between the eyes."""
    finds, compares = open_detector("yunet_n"), open_embedder(embedder)
    taken: dict[int, list[bool]] = {1: [], 4: []}
    for person in sorted((media_dir / "lfw").iterdir())[::100][:20]:
        photograph = Image.open(sorted(person.glob("*.jpg"))[0]).convert("RGB")
        faces = finds.detect([Frame.still(np.asarray(photograph))])
        if len(faces) != 1:
            continue
        for block in taken:
            small = photograph.resize((photograph.width // block, photograph.height // block), Image.Resampling.BOX)
            frame = Frame.still(np.asarray(small.resize(photograph.size, Image.Resampling.NEAREST)))
            crops = compares.align([frame], faces)
            vectors = compares.embed(np.concatenate([crops, coarser(crops, compares.landmark_template)])).vectors
            taken[block].append(float(vectors[0] @ vectors[1]) >= (EnrolmentGate().agreement or 0))
    assert len(taken[1]) > 10
    assert all(taken[1])
    assert sum(taken[4]) <= (1 - least_refused) * len(taken[4])


def test_a_face_that_fills_its_picture_is_found_with_a_margin_and_that_is_said(
    models_dir: Path, media_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    finds, compares = open_detector("scrfd_500m_kps"), open_embedder("mobilefacenet_y1")
    photograph = np.asarray(Image.open(media_dir / "lfw" / "Aaron_Eckhart" / "Aaron_Eckhart_0001.jpg").convert("RGB"))
    left, top, right, bottom = finds.detect([Frame.still(photograph)]).boxes[0].astype(int)
    face = np.ascontiguousarray(photograph[top + 5 : bottom - 5, left + 5 : right - 5])
    assert len(finds.detect([Frame.still(face)])) == 0
    with create_watchlist(tmp_path / "a.watchlist", compares) as watchlist:
        made = watchlist.enrol("Aaron", face, detector=finds, embedder=compares)
        assert made.entry.references == 1
        assert "the face of 'Aaron' fills its picture edge to edge" in caplog.text
        with pytest.raises(EnrolmentError, match="no face was found"):
            watchlist.enrol("Nobody", np.full_like(face, 90), detector=finds, embedder=compares)
