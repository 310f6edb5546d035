"""Stills in one call: the results of the single stages, for every kind of picture and from many threads."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import pylfr
from pylfr.errors import ConfigError, MediaError
from pylfr.faces.analysis import AnalysedFaces, FaceAnalysis, open_face_analysis
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.faces.quality import measure_quality
from pylfr.types import Frame, UInt8
from pylfr.video.decoding.image_io import write_png
from tests.footage import BOTH, WALKING_AND_PAUSE, WOMAN, picture_of, video

pytestmark = pytest.mark.usefixtures("models_dir")


@pytest.fixture(scope="module")
def three(media_dir: Path) -> UInt8:
    """Three people, uint8 [270, 480, 3] RGB."""
    return picture_of(video(media_dir, WALKING_AND_PAUSE), 30)


@pytest.fixture(scope="module")
def analysis(models_dir: Path) -> FaceAnalysis:
    return open_face_analysis(detector="yunet_n", embedder="face_reid_0095", runtime="onnx")


@pytest.fixture(scope="module")
def faces(analysis: FaceAnalysis, three: UInt8) -> AnalysedFaces:
    return analysis.get(three)


def test_one_call_gives_the_results_of_the_single_stages(faces: AnalysedFaces, three: UInt8) -> None:
    found = open_detector("yunet_n").detect([three])
    embedder = open_embedder("face_reid_0095")
    assert len(faces) == 3
    assert faces.boxes.tobytes() == found.boxes.tobytes()
    assert faces.landmarks.tobytes() == found.landmarks.tobytes()
    assert faces.scores.tobytes() == found.scores.tobytes()
    assert faces.quality.score.tobytes() == measure_quality([three], found).score.tobytes()
    np.testing.assert_allclose(
        faces.templates.vectors, embedder.embed(embedder.align([three], found)).vectors, atol=1e-5
    )


def test_faces_can_be_indexed_and_iterated(faces: AnalysedFaces) -> None:
    each = list(faces)
    assert len(each) == 3
    for row, face in enumerate(each):
        assert face.box.tolist() == faces.boxes[row].tolist() == faces[row].box.tolist()
        assert face.score == pytest.approx(float(faces.scores[row]))
        assert 0 <= face.quality <= 100
        assert np.linalg.norm(face.template) == pytest.approx(1, abs=1e-5)
    assert faces[-1].box.tolist() == each[2].box.tolist()
    with pytest.raises(IndexError, match="there are 3 faces, got number 3"):
        _ = faces[3]


def test_faces_are_filtered_by_masks_slices_and_numbers(faces: AnalysedFaces) -> None:
    leftmost = faces[faces.boxes[:, 0] < 120]
    assert len(leftmost) == 1
    assert leftmost[0].box[0] < 120
    assert faces[1:].boxes.tolist() == faces.boxes[1:].tolist()
    assert faces[[2, 0]].scores.tolist() == faces.scores[[2, 0]].tolist()
    assert len(faces[faces.scores > 2]) == 0
    assert faces[::2].templates.vectors.tolist() == faces.templates.vectors[::2].tolist()


def test_the_same_person_scores_high_and_others_low(
    analysis: FaceAnalysis, faces: AnalysedFaces, media_dir: Path
) -> None:
    alone = analysis.get(picture_of(video(media_dir, WOMAN), 21))
    scores = faces.compare(alone)
    assert scores.shape == (3, 1)
    woman = int(np.argmin(faces.boxes[:, 0]))
    assert faces[woman].compare(alone[0]) == pytest.approx(float(scores[woman, 0]), abs=1e-6)
    assert scores[woman, 0] > 0.5
    assert np.delete(scores[:, 0], woman).max() < 0.35


def test_templates_of_two_networks_are_not_compared(faces: AnalysedFaces, three: UInt8) -> None:
    others = open_face_analysis(detector="yunet_n", embedder="pylfr_nano_embed", runtime="onnx").get(three)
    with pytest.raises(ValueError, match="templates of two networks cannot be compared"):
        faces.compare(others)
    with pytest.raises(ValueError, match="templates of two networks"):
        faces[0].compare(others[0])


def test_bgr_strided_frames_and_files_give_the_same_faces(
    analysis: FaceAnalysis, faces: AnalysedFaces, three: UInt8, tmp_path: Path
) -> None:
    wide = np.repeat(three, 2, axis=1)
    write_png(tmp_path / "three.png", three)
    for got in (
        analysis.get(np.ascontiguousarray(three[:, :, ::-1]), colour="bgr"),
        analysis.get(three[:, :, ::-1], colour="bgr"),
        analysis.get(np.asfortranarray(three)),
        analysis.get(wide[:, ::2]),
        analysis.get(Frame.still(three)),
        analysis.get(Image.fromarray(three)),
        analysis.get(tmp_path / "three.png"),
        analysis.get(str(tmp_path / "three.png")),
    ):
        assert got.boxes.tobytes() == faces.boxes.tobytes()
        np.testing.assert_allclose(got.templates.vectors, faces.templates.vectors, atol=1e-5)
    turned = analysis.get(three, colour="bgr")
    assert turned.scores.tolist() != faces.scores.tolist()


def test_a_batch_gives_each_picture_its_own_faces(analysis: FaceAnalysis, three: UInt8) -> None:
    nobody = np.zeros((60, 90, 3), np.uint8)
    batch = analysis.get_batch([nobody, three, three[:, :320]])
    assert [len(each) for each in batch] == [0, 3, 2]
    assert batch[2].boxes[:, 2].max() <= 320
    assert batch[0].templates.vectors.shape == (0, 256)
    assert batch[0].draw().size == (90, 60)
    assert analysis.get_batch([]) == []


def test_arrays_that_are_not_pictures_are_refused_with_the_fix(
    analysis: FaceAnalysis, three: UInt8, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 \[H, W, 3\], got shape \[270, 480\]: repeat the channel"):
        analysis.get(three[:, :, 0])
    with pytest.raises(ValueError, match=r"got shape \[270, 480, 4\]: .* leave out an alpha channel"):
        analysis.get(np.dstack([three, three[:, :, 0]]))
    with pytest.raises(TypeError, match=r"must be an array uint8 \[H, W, 3\], got float32"):
        analysis.get(three.astype(np.float32))
    with pytest.raises(TypeError, match="got list"):
        analysis.get(three.tolist())
    with pytest.raises(ValueError, match="colour must be 'rgb' or 'bgr', got 'gbr'"):
        analysis.get(three, colour="gbr")  # type: ignore[arg-type]
    with pytest.raises(MediaError, match=r"missing\.jpg"):
        analysis.get(tmp_path / "missing.jpg")


def test_threads_share_one_analysis(analysis: FaceAnalysis, media_dir: Path) -> None:
    stills = [picture_of(video(media_dir, name), at) for name in (BOTH, WALKING_AND_PAUSE) for at in (8, 14, 20)]
    wanted = [analysis.get(still) for still in stills]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(analysis.get, stills * 8))
    for place, got in enumerate(found):
        assert got.boxes.tobytes() == wanted[place % len(stills)].boxes.tobytes()
        np.testing.assert_allclose(got.templates.vectors, wanted[place % len(stills)].templates.vectors, atol=1e-5)


def test_drawing_marks_every_face_and_leaves_the_picture_alone(faces: AnalysedFaces, three: UInt8) -> None:
    before = three.copy()
    drawn = np.asarray(faces.draw())
    assert drawn.shape == three.shape
    changed = (drawn != three).any(axis=2)
    for x1, y1, x2, y2 in faces.boxes.round().astype(int).tolist():
        assert changed[y1, (x1 + x2) // 2]
        assert changed[y2, (x1 + x2) // 2]
    assert changed.mean() < 0.1
    assert (three == before).all()
    with pytest.raises(ValueError, match="labels must name each of 3 faces, got 1"):
        faces.draw(["only one"])


def test_a_frame_in_yuv_is_drawn_in_its_own_colours(analysis: FaceAnalysis) -> None:
    grey = Frame(
        camera="c",
        sequence=0,
        captured_at=Frame.still(np.zeros((1, 1, 3), np.uint8)).captured_at,
        planes=(np.full((48, 64), 126, np.uint8), np.full((24, 32, 2), 128, np.uint8)),
        layout="nv12",
    )
    assert np.asarray(analysis.get(grey).draw()).tolist() == np.full((48, 64, 3), 128).tolist()


def test_redaction_hides_every_other_face_from_the_detector(
    analysis: FaceAnalysis, faces: AnalysedFaces, three: UInt8
) -> None:
    assert len(analysis.get(np.asarray(faces.redact()))) == 0
    [left] = analysis.get(np.asarray(faces.redact(keep=1)))
    np.testing.assert_allclose(left.box, faces.boxes[1], atol=4)


def test_templates_are_never_in_a_repr_and_can_be_wiped(analysis: FaceAnalysis, three: UInt8) -> None:
    faces = analysis.get(three)
    assert repr(faces) == "<3 faces in a picture of 480x270>"
    assert "template" not in repr(faces[0])
    faces.wipe()
    assert not faces.templates.vectors.any()


def test_supervision_gets_boxes_and_quality_but_no_template(
    faces: AnalysedFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}
    stand_in = SimpleNamespace(Detections=lambda **each: given.update(each))
    monkeypatch.setitem(sys.modules, "supervision", stand_in)
    faces.to_supervision()
    assert np.asarray(given["xyxy"]).tolist() == faces.boxes.tolist()
    assert np.asarray(given["confidence"]).tolist() == faces.scores.tolist()
    assert isinstance(given["data"], dict)
    assert sorted(given["data"]) == ["class_name", "landmarks", "quality"]
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ConfigError, match="pip install supervision"):
        faces.to_supervision()


def test_supervision_takes_the_detections(faces: AnalysedFaces) -> None:
    supervision = pytest.importorskip("supervision")
    detections = faces.to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert len(detections[detections.confidence > faces.scores[1]]) == 1


def test_without_names_the_best_networks_on_this_machine_are_used(
    three: UInt8, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pylfr")
    faces = pylfr.open_face_analysis().get(three)
    assert faces.templates.model == pylfr.open_store().resolve("face_reid_0095").sha256
    assert "detect: yunet_n (found on this machine" in caplog.text


def test_a_restricted_licence_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    open_face_analysis(detector="scrfd_500m_kps", embedder="pylfr_nano_embed", runtime="onnx")
    assert [each.levelname for each in caplog.records if "not for commercial use" in each.message] == ["WARNING"]
