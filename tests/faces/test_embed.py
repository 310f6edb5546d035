"""Templates of aligned crops: of unit length, the same in parts, and refused for wrong shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import ModelError
from pylfr.faces.detect import open_detector
from pylfr.faces.embed import open_embedder
from pylfr.models.store import open_store
from pylfr.runtimes.registry import open_runtime
from pylfr.types import UInt8
from tests.footage import BOTH, WALKING_AND_PAUSE, picture_of, video

pytestmark = pytest.mark.usefixtures("models_dir")


@pytest.fixture(scope="module")
def pictures(media_dir: Path) -> list[UInt8]:
    """Three people and two people."""
    return [picture_of(video(media_dir, name), 30) for name in (WALKING_AND_PAUSE, BOTH)]


@pytest.mark.parametrize("name", ["face_reid_0095", "mobilefacenet_y1", "pylfr_nano_embed"])
def test_templates_have_unit_length_and_name_their_network(name: str, pictures: list[UInt8]) -> None:
    embedder = open_embedder(name)
    templates = embedder.embed(embedder.align(pictures, open_detector("yunet_n").detect(pictures)))
    assert templates.vectors.shape == (5, embedder.dimension)
    np.testing.assert_allclose(np.linalg.norm(templates.vectors, axis=1), 1, atol=1e-5)
    assert templates.model == open_store().resolve(name).sha256


def test_embedding_in_parts_gives_the_same_templates(pictures: list[UInt8]) -> None:
    embedder = open_embedder("face_reid_0095")
    faces = open_detector("yunet_n").detect(pictures)
    crops = embedder.align(pictures, faces)
    model = open_store().resolve("face_reid_0095")
    bound = model.manifest.model_copy(update={"pixels": model.manifest.pixels.model_copy(update={"max_batch": 2})})
    runtime = open_runtime(type(model)(manifest=bound, path=model.path, sha256=model.sha256))
    parts = type(embedder)(bound, runtime, model=model.sha256).embed(crops).vectors
    assert np.allclose(parts, embedder.embed(crops).vectors, atol=1e-5)


def test_crops_of_the_wrong_size_and_a_wrong_out_are_refused() -> None:
    embedder = open_embedder("face_reid_0095")
    with pytest.raises(ValueError, match=r"crops must be float32 \[N, 3, 128, 128\]"):
        embedder.embed(np.zeros((1, 3, 112, 112), np.float32))
    with pytest.raises(ValueError, match=r"out must be float32 \[1, 256\]"):
        embedder.embed(np.zeros((1, 3, 128, 128), np.float32), out=np.zeros((1, 128), np.float32))


def test_a_detector_cannot_be_opened_as_an_embedder() -> None:
    with pytest.raises(ModelError, match="yunet_n is a network for 'detect': name one for 'embed'"):
        open_embedder("yunet_n")
