"""Which threshold a deployment has where its file gives none, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylfr.deployment.recognition import preprocessing_of, threshold_in_words, threshold_of
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.errors import ConfigError
from pylfr.models.manifest import ModelManifest, read_manifest
from tests.models.manifests import EMBEDDER, write

SUGGESTIONS = """
suggested_thresholds = [{ watchlist = 10, threshold = 0.4 }, { watchlist = 250, threshold = 0.5 }]
threshold_rests_on = "a crowd"
"""


@pytest.fixture
def embedder(tmp_path: Path) -> ModelManifest:
    return read_manifest(write(tmp_path, "mine", EMBEDDER + SUGGESTIONS))


@pytest.mark.parametrize(("references", "threshold"), [(0, 0.4), (1, 0.4), (10, 0.4), (11, 0.5), (250, 0.5)])
def test_a_longer_watchlist_has_a_higher_threshold(embedder: ModelManifest, references: int, threshold: float) -> None:
    assert threshold_of(RecognitionSection(), embedder, references=references) == threshold


def test_a_watchlist_longer_than_any_that_was_measured_is_refused_a_suggestion(embedder: ModelManifest) -> None:
    with pytest.raises(ConfigError, match=r"up to 250 reference images, this one has 251.*give one.*pylfr calibrate"):
        threshold_of(RecognitionSection(), embedder, references=251)
    assert threshold_of(RecognitionSection(threshold=0.45), embedder, references=251) == 0.45


def test_without_any_suggestion_a_threshold_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mine suggests no threshold: give one"):
        threshold_of(RecognitionSection(), read_manifest(write(tmp_path, "mine", EMBEDDER)), references=1)


@pytest.mark.parametrize(
    ("given", "references", "said"),
    [
        (None, 3, "threshold 0.4: what mine suggests for up to 10 reference images (a crowd)"),
        (0.4, 11, "threshold 0.4 is lower than 0.5, which mine suggests for up to 250 reference images (a crowd)"),
        (0.9, 1_200, "nothing was measured with mine beyond 250 reference images, this watchlist has 1,200"),
    ],
)
def test_a_threshold_that_does_not_fit_the_watchlist_is_named(
    embedder: ModelManifest, given: float | None, references: int, said: str
) -> None:
    words = threshold_in_words(RecognitionSection(threshold=given), embedder, references=references)
    assert words is not None
    assert said in words


def test_a_threshold_of_ones_own_that_is_high_enough_needs_no_words(embedder: ModelManifest, tmp_path: Path) -> None:
    assert threshold_in_words(RecognitionSection(threshold=0.5), embedder, references=250) is None
    unmeasured = read_manifest(write(tmp_path, "other", EMBEDDER))
    assert threshold_in_words(RecognitionSection(threshold=0.1), unmeasured, references=250) is None


def test_another_suggestion_is_not_another_preprocessing(embedder: ModelManifest, tmp_path: Path) -> None:
    other = read_manifest(write(tmp_path, "mine", EMBEDDER + SUGGESTIONS.replace("0.5", "0.6").replace("crowd", "c")))
    assert preprocessing_of(other) == preprocessing_of(embedder)
    larger = read_manifest(write(tmp_path, "mine", (EMBEDDER + SUGGESTIONS).replace("224", "112")))
    assert preprocessing_of(larger) != preprocessing_of(embedder)
