"""Detection on real pictures: mixed sizes, in source pixels; networks with one image per call agree."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import ModelError
from pylfr.faces.detect import FaceDetector, open_detector
from pylfr.faces.embed import open_embedder
from pylfr.faces.input_size import InputSides
from pylfr.models.store import open_store
from pylfr.runtimes.registry import RuntimeName, open_runtime
from pylfr.types import Faces, Float32, UInt8
from tests.footage import BOTH, MAN, WALKING_AND_PAUSE, picture_of, video

pytestmark = pytest.mark.usefixtures("models_dir")


@pytest.fixture(scope="module")
def pictures(media_dir: Path) -> list[UInt8]:
    """Three people, two people in another size, and nobody."""
    three = picture_of(video(media_dir, WALKING_AND_PAUSE), 30)
    two = picture_of(video(media_dir, BOTH), 30)
    return [three, np.ascontiguousarray(two[:, :400]), np.zeros((90, 60, 3), np.uint8)]


@pytest.mark.parametrize("name", ["yunet_n", "scrfd_500m_kps"])
def test_faces_in_pictures_of_several_sizes_are_found_in_place(name: str, pictures: list[UInt8]) -> None:
    faces = open_detector(name).detect(pictures)
    assert faces.frame_index.tolist() == [0, 0, 0, 1, 1]
    assert (np.diff(faces.scores[:3]) <= 0).all()
    for box, landmarks in zip(faces.boxes, faces.landmarks, strict=True):
        assert ((landmarks >= box[:2]) & (landmarks <= box[2:])).all()
        left_eye, right_eye, nose, left_mouth, right_mouth = landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("name", ["yunet_n", "scrfd_500m_kps"])
def test_two_detectors_agree_on_the_same_faces(name: str, pictures: list[UInt8]) -> None:
    one, other = open_detector(name).detect(pictures[:1]), open_detector("yunet_n").detect(pictures[:1])
    centres = [np.sort(faces.landmarks.mean(axis=1)[:, 0]) for faces in (one, other)]
    assert np.allclose(centres[0], centres[1], atol=3)


def test_a_network_with_a_fixed_input_of_one_image_finds_the_same_faces(pictures: list[UInt8]) -> None:
    model = open_store().resolve("yunet_n")
    assert model.manifest.detect is not None
    bound = model.manifest.model_copy(
        update={
            "pixels": model.manifest.pixels.model_copy(update={"max_batch": 1}),
            "detect": model.manifest.detect.model_copy(update={"fixed_size": (640, 640)}),
        }
    )
    runtime = open_runtime(type(model)(manifest=bound, path=model.path, sha256=model.sha256))
    faces = FaceDetector(bound, runtime, model=model.sha256, sides=InputSides(side_px=640), score_floor=0.6).detect(
        pictures
    )
    free = open_detector("yunet_n", score_floor=0.6).detect(pictures)
    assert faces.frame_index.tolist() == free.frame_index.tolist()
    assert np.allclose(faces.boxes, free.boxes, atol=2)


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "torch"])
def test_threads_that_share_a_detector_and_an_embedder_get_their_own_templates(
    media_dir: Path, runtime: RuntimeName
) -> None:
    for module in {"torch": ("torch", "onnx"), "openvino": ("openvino",)}.get(runtime, ()):
        pytest.importorskip(module)
    stills = [picture_of(video(media_dir, name), at) for name in (BOTH, WALKING_AND_PAUSE, MAN) for at in (8, 20)]
    detector, embedder = open_detector("yunet_n", runtime=runtime), open_embedder("face_reid_0095", runtime=runtime)

    def templates_of(still: UInt8) -> Float32:
        return embedder.embed(embedder.align([still], detector.detect([still]))).vectors

    wanted = [templates_of(still) for still in stills]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(templates_of, stills * 10))
    assert {len(each) for each in wanted} >= {1, 2, 3}
    for place, vectors in enumerate(found):
        expected = wanted[place % len(stills)]
        assert vectors.shape == expected.shape
        np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_no_pictures_and_no_faces_give_empty_arrays(pictures: list[UInt8]) -> None:
    detector, embedder = open_detector("yunet_n"), open_embedder("face_reid_0095")
    assert len(detector.detect([])) == 0
    nobody = detector.detect(pictures[2:])
    assert len(nobody) == 0
    assert embedder.embed(embedder.align(pictures[2:], nobody)).vectors.shape == (0, 256)


def test_invalid_pictures_and_networks_of_the_wrong_task_are_refused(pictures: list[UInt8]) -> None:
    with pytest.raises(TypeError, match="uint8"):
        open_detector("yunet_n").detect([pictures[0].astype(np.float32)])
    with pytest.raises(ModelError, match="'detect'"):
        open_detector("face_reid_0095")
    with pytest.raises(ModelError, match="'embed'"):
        open_embedder("yunet_n")


def test_faces_keep_their_order_when_selected() -> None:
    assert len(Faces.none().select(np.empty(0, np.int64))) == 0
