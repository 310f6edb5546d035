from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pylfr.errors import ModelError
from pylfr.models.manifest import read_manifest
from tests.models.manifests import DETECTOR, EMBEDDER, fetched_manifest, write


def test_a_networks_name_is_the_stem_of_its_manifest(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path, "my_finder_2.5g", DETECTOR)).name == "my_finder_2.5g"


def test_the_arcface_template_grows_with_the_crop(tmp_path: Path) -> None:
    embed = read_manifest(write(tmp_path, "x", EMBEDDER)).embed
    assert embed is not None
    assert embed.landmark_template.dtype == np.float32
    np.testing.assert_allclose(embed.landmark_template[0], [2 * 38.2946, 2 * 51.6963], rtol=1e-6)


def test_a_template_in_units_of_the_side_becomes_pixels(tmp_path: Path) -> None:
    points = "[[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]"
    text = EMBEDDER.replace('template = "arcface"', f'template = {points}\ntemplate_unit = "side"')
    embed = read_manifest(write(tmp_path, "x", text)).embed
    assert embed is not None
    np.testing.assert_allclose(embed.landmark_template[4], [0.65 * 224, 0.8 * 224], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (DETECTOR.replace('"yunet"', '"retina"'), "head.*'yunet', 'scrfd' or 'template'.*'retina'"),
        (DETECTOR.replace("score_threshold", "score_treshold"), "score_treshold.*'score_threshold'"),
        (DETECTOR.replace("about", "abuot"), "abuot.*'about'"),
        (DETECTOR.replace("score_threshold = 0.6", "score_threshold = 1.5"), "score_threshold.*1.5"),
        (DETECTOR.replace("finder.onnx", "../finder.onnx"), "file"),
        (DETECTOR.replace('task = "detect"', 'task = "embed"'), r"\[embed\] table"),
        (DETECTOR.replace('"yunet"', '"template"'), "belongs to task 'embed'"),
        (DETECTOR.replace('colour = "bgr"', 'colour = "bgr"\nscale = [1.0, 0.0, 1.0]'), "scale.*other than 0"),
        (DETECTOR.replace('page = "', 'url = "https://example.org/x"\npage = "'), "url needs sha256"),
        (DETECTOR.replace('page = "', 'sha256 = "beef"\npage = "'), "sha256.*'beef'"),
        (DETECTOR.replace("[source]", "[sauce]"), "sauce.*'source'"),
        (
            EMBEDDER.replace('template = "arcface"', "template = [[0.3, 0.4]]"),
            "template must be 'arcface' or five points",
        ),
        (EMBEDDER.replace('"arcface"', '"arcfase"'), "template must be 'arcface' or five points.*'arcfase'"),
        (
            EMBEDDER.replace('template = "arcface"', "template = [[300, 1], [1, 1], [1, 1], [1, 1], [1, 1]]"),
            "inside the crop of 224",
        ),
        (EMBEDDER + "suggested_threshold = 0.4", "suggested_threshold'.*'suggested_thresholds'"),
        (
            EMBEDDER
            + "suggested_thresholds = [{ watchlist = 9, threshold = 0.4 }, { watchlist = 20, threshold = 0.3 }]",
            "suggested_thresholds must be in the order of the watchlists, none lower",
        ),
        (
            EMBEDDER
            + "suggested_thresholds = [{ watchlist = 9, threshold = 0.4 }, { watchlist = 9, threshold = 0.5 }]",
            "suggested_thresholds must be in the order of the watchlists",
        ),
        ("task = ", "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_expectation(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, "wrong", text)
    with pytest.raises(ModelError, match=f"(?s)wrong.toml.*{said}"):
        read_manifest(path)


def test_plain_http_is_not_allowed_as_a_source(tmp_path: Path) -> None:
    text = fetched_manifest(b"network", file="x.onnx").replace("https://example.org/get", "http://example.org/get")
    with pytest.raises(ModelError, match="url"):
        read_manifest(write(tmp_path, "x", text))


def test_a_restricted_licence_gives_a_notice_and_a_free_one_none(tmp_path: Path) -> None:
    restricted = read_manifest(write(tmp_path, "mine", fetched_manifest(b"n", file="x.onnx", licence="study-only")))
    assert restricted.notice == "mine: licence study-only: not for commercial use"
    assert read_manifest(write(tmp_path, "free", DETECTOR)).notice is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere.toml cannot be read"):
        read_manifest(tmp_path / "nowhere.toml")


def test_the_example_manifest_is_valid() -> None:
    manifest = read_manifest(Path(__file__).parents[2] / "examples" / "own_manifest.toml")
    assert manifest.embed is not None
    assert manifest.embed.landmark_template.shape == (5, 2)
