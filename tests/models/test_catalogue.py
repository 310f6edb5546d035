"""The shipped manifests, checked against the networks on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylfr.models.store import open_store
from pylfr.runtimes.onnx import open_onnx

NAMES = {
    "face_reid_0095",
    "glintr100",
    "mobilefacenet_y1",
    "scrfd_10g",
    "scrfd_2.5g",
    "scrfd_500m_kps",
    "sface",
    "w600k_mbf",
    "w600k_r50",
    "yunet_2023mar",
    "yunet_n",
}


@pytest.fixture(autouse=True)
def _as_this_machine(home: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLFR_MODELS", str(models_dir))


def test_every_network_of_the_catalogue_has_a_sound_manifest() -> None:
    store = open_store()
    assert set(store.names()) >= NAMES
    for name in NAMES:
        manifest = store.manifest(name)
        assert manifest.file == f"{name}.onnx"
        assert manifest.source.sha256 is not None
        assert manifest.source.size_bytes is not None
        restricted = "github.com/deepinsight" in manifest.source.page
        assert manifest.licence.commercial_use is not restricted


def test_a_threshold_is_suggested_only_with_what_it_rests_on() -> None:
    store = open_store()
    for name in NAMES:
        embed = store.manifest(name).embed
        if embed is not None:
            assert (not embed.suggested_thresholds) == embed.threshold_rests_on.startswith("nothing")


@pytest.mark.parametrize("name", ["yunet_n", "scrfd_500m_kps"])
def test_a_detectors_outputs_match_its_manifest(name: str) -> None:
    model = open_store().resolve(name)
    detect = model.manifest.detect
    assert detect is not None
    assert detect.fixed_size is None
    height, width = 3 * detect.multiple_of, 5 * detect.multiple_of
    outputs = open_onnx(model, threads=1).run(np.zeros((2, 3, height, width), np.float32))
    cells = [(height // stride) * (width // stride) * detect.anchors for stride in detect.strides]
    if model.manifest.head == "yunet":
        for kind, numbers in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            for stride, count in zip(detect.strides, cells, strict=True):
                assert outputs[f"{kind}_{stride}"].shape == (2, count, numbers)
    else:
        shapes = [tensor.shape for tensor in outputs.values()]
        assert shapes == [(2, count, numbers) for numbers in (1, 4, 10) for count in cells]


@pytest.mark.parametrize("name", ["face_reid_0095", "mobilefacenet_y1"])
def test_an_embedders_outputs_match_its_manifest(name: str) -> None:
    model = open_store().resolve(name)
    embed = model.manifest.embed
    assert embed is not None
    assert model.manifest.pixels.max_batch is None
    crops = np.zeros((3, 3, embed.side_px, embed.side_px), np.float32)
    (templates,) = open_onnx(model, threads=1).run(crops).values()
    assert templates.shape == (3, embed.dimension)
